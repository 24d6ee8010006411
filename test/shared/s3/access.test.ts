import assert from "node:assert/strict";
import { createS3Access } from "../../../src/shared/s3/access.js";
import { testCredentialEnv } from "../../support/s3/store.js";

const open = (endpoint: string | null, region: string | null = null, env: Record<string, string> = testCredentialEnv) =>
  createS3Access({ endpoint, region, credentials: { kind: "environment", env, home: "/nowhere" } });
const urlOf = async (access: ReturnType<typeof open>, bucket: string, key = "a b.jpg") => {
  const { origin, path } = await access.prepare({ method: "GET", bucket, key });
  return `${origin}${path}`;
};

describe("shared/s3/access", () => {
  it("puts the bucket into AWS's host name where a certificate allows it, and into the path elsewhere", async () => {
    const aws = open(null, "eu-west-3");
    assert.equal(await urlOf(aws, "photos"), "https://photos.s3.eu-west-3.amazonaws.com/a%20b.jpg");
    assert.equal(await urlOf(aws, "my.photos"), "https://s3.eu-west-3.amazonaws.com/my.photos/a%20b.jpg");
    assert.equal(await urlOf(aws, "Old_Photos"), "https://s3.eu-west-3.amazonaws.com/Old_Photos/a%20b.jpg");
    assert.equal(await urlOf(open(null), "photos"), "https://photos.s3.us-east-1.amazonaws.com/a%20b.jpg");
    assert.equal(
      await urlOf(open(null, "cn-north-1"), "photos"),
      "https://photos.s3.cn-north-1.amazonaws.com.cn/a%20b.jpg",
    );
    const regional = "https://s3.dualstack.us-west-2.amazonaws.com";
    assert.equal(
      await urlOf(open(regional), "photos"),
      "https://photos.s3.dualstack.us-west-2.amazonaws.com/a%20b.jpg",
    );
    assert.equal(await urlOf(open("http://minio:9000/"), "photos"), "http://minio:9000/photos/a%20b.jpg");
    assert.equal(await urlOf(open("https://h/storage/s3"), "photos"), "https://h/storage/s3/photos/a%20b.jpg");
    const lookalike = "https://s3.amazonaws.com.example.org";
    assert.equal(await urlOf(open(lookalike), "photos"), `${lookalike}/photos/a%20b.jpg`);
  });

  it("signs for the region that a store has named, and says whether that is news", async () => {
    const access = open(null, "us-east-1");
    assert.ok(access.learnRegion("photos", "eu-west-3", "us-east-1"));
    assert.ok(!access.learnRegion("photos", "eu-west-3", "eu-west-3"));
    const { headers, hostname } = await access.prepare({ method: "GET", bucket: "photos", key: "a" });
    assert.equal(hostname, "photos.s3.eu-west-3.amazonaws.com");
    assert.match(headers.authorization ?? "", /\/eu-west-3\/s3\/aws4_request/);
    assert.match(await urlOf(access, "others"), /us-east-1/);
  });

  it("refuses an endpoint that is no address of a server, or holds credentials, without showing them", () => {
    for (const endpoint of ["minio:9000", "ftp://h", "https://", "http://u:hunter2@h", "https://h/?token=hunter2"]) {
      assert.throws(
        () => open(endpoint),
        (error: Error & { code?: string }) => error.code === "OPTION_INVALID" && !error.message.includes("hunter2"),
        endpoint,
      );
    }
  });
});
