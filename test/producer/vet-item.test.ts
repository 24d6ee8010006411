import assert from "node:assert/strict";
import { vetItem } from "../../src/producer/vet-item.js";
import { failure } from "../../src/shared/errors.js";

describe("producer/vet-item", () => {
  const at = { token: "7,2", line: 3 };

  it("leaves paths and file: uris as they are, whatever is in their names", () => {
    for (const uri of ["/a@b?token=1", "file:///%FF?sig=1"]) {
      const item = { uri, ...at };
      assert.equal(vetItem(item), item);
    }
  });

  it("writes web addresses in canonical form", () => {
    assert.deepEqual(vetItem({ uri: "HTTP://Example.org:80/a#b", ...at }), { uri: "http://example.org/a", ...at });
  });

  it("fails what carries credentials, with its line, and keeps none of them", () => {
    const { uri, failure: found } = vetItem({ uri: "https://h/a?sig=hunter2", ...at });
    assert.equal(uri, "https://h/a?sig=***");
    assert.equal(found?.code, "ITEM_INVALID");
    assert.match(found?.message ?? "", /line 3: its parameter sig is a credential; give credentials with --header/);
  });

  it("keeps the keys of objects as they are, and fails what is none or carries credentials", () => {
    for (const uri of ["s3://bucket/a b#c@d?e=f.jpg", "s3://bucket//x"])
      assert.deepEqual(vetItem({ uri, ...at }), { uri, ...at });
    assert.equal(vetItem({ uri: "S3://bucket/a", ...at }).uri, "s3://bucket/a");
    const wrong: readonly (readonly [string, string, RegExp])[] = [
      ["s3://bucket", "s3://bucket", /line 3: it names a bucket, and no object/],
      ["s3://id:hunter2@bucket/a", "s3://***@bucket/a", /give credentials in the worker's environment/],
      ["s3://bucket/a?s3_secret_access_key=hunter2", "s3://bucket/a?s3_secret_access_key=***", /is a credential/],
    ];
    for (const [uri, shown, message] of wrong) {
      const item = vetItem({ uri, ...at });
      assert.deepEqual([item.uri, item.failure?.code], [shown, "ITEM_INVALID"]);
      assert.match(item.failure?.message ?? "", message);
    }
  });

  it("treats a member of a tar shard as its shard", () => {
    const behind = "#member=a.jpg&offset=512&length=3";
    const uriOf = (shard: string) => vetItem({ uri: `tar+${shard}${behind}`, ...at }).uri;
    assert.equal(uriOf("file:///a@b.tar"), `tar+file:///a@b.tar${behind}`);
    assert.equal(uriOf("https://H:443/s.tar"), `tar+https://h/s.tar${behind}`);
    for (const shard of ["https://u:hunter2@h/s.tar", "https://h/s.tar?sig=hunter2"]) {
      const item = vetItem({ uri: `tar+${shard}${behind}`, ...at });
      assert.equal(item.failure?.code, "ITEM_INVALID");
      assert.ok(!JSON.stringify(item).includes("hunter2"), JSON.stringify(item));
    }
    assert.ok(!JSON.stringify(vetItem({ uri: "tar+https://u:hunter2@h/s.tar", ...at })).includes("hunter2"));
  });

  it("leaves what it has vetted as it is", () => {
    const behind = "#member=a.jpg&offset=512&length=3";
    const uris = [
      "/a b",
      "HTTPS://H:443/../a?b=c#d",
      "https://u:p@h/x?token=1",
      `tar+https://u:p@h/s.tar${behind}`,
      "ht!tp",
    ];
    for (const uri of uris) {
      const item = vetItem({ uri, ...at });
      assert.deepEqual(vetItem(item), item);
    }
  });

  it("keeps no credentials of a line that has failed before", () => {
    const before = failure("ITEM_INVALID", { reason: "line 3: it holds a NUL byte" });
    for (const uri of ["https://u:hunter2@h/\0?token=hunter2", "file://u:hunter2@h/x", "//u:hunter2@h/\0"]) {
      const item = vetItem({ uri, failure: before, ...at });
      assert.ok(!JSON.stringify(item).includes("hunter2"), JSON.stringify(item));
      assert.equal(item.failure, before);
    }
  });
});
