import assert from "node:assert/strict";
import { parseObjectUri, parseS3Uri, uriOfObject } from "../../src/shared/s3-uri.js";

describe("shared/s3-uri", () => {
  it("takes a bucket and a key apart, and leaves the key as it is", () => {
    for (const key of [
      "a.jpg",
      "",
      "/a",
      "a//b/",
      "a b%20?c#d@e:f",
      "日本/🐱",
      "a/.hidden/..b/c..",
      "x".repeat(1024),
    ]) {
      assert.deepEqual(parseS3Uri(`s3://my.bucket-1/${key}`), { bucket: "my.bucket-1", key });
      assert.equal(uriOfObject({ bucket: "my.bucket-1", key }), `s3://my.bucket-1/${key}`);
    }
    assert.deepEqual(parseS3Uri("S3://bucket"), { bucket: "bucket", key: "" });
    assert.deepEqual(parseS3Uri("s3://bucket/a\nb"), { bucket: "bucket", key: "a\nb" });
  });

  it("refuses what could change a request into one for another place", () => {
    const wrong = ["s3:", "s3:///a", "s3://b/a", "s3:bucket/a", "s3://a..b/c", "s3://-ab/c", "s3://host:9000/c"];
    const odd = ["s3://u:p@bucket/a", "s3://bu%63ket/a", "s3://bucket?/a", "s3://bu\\cket/a", "s3://bücket/a"];
    const keys = ["../other/a", "a/../../b", "./a", "a/.", "\ud800.jpg", "x".repeat(1025)];
    for (const uri of [...wrong, ...odd, ...keys.map((key) => `s3://bucket/${key}`)])
      assert.ok("reason" in parseS3Uri(uri), uri);
  });

  it("tells an object from a bucket", () => {
    assert.ok("reason" in parseObjectUri("s3://bucket/") && "reason" in parseObjectUri("s3://bucket"));
    assert.deepEqual(parseObjectUri("s3://bucket/a"), { bucket: "bucket", key: "a" });
  });
});
