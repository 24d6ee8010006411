import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { identityHash } from "../../src/dataset/run-head.js";
import { openSubmission } from "../../src/producer/submission.js";
import { resolveOptions } from "../../src/shared/options.js";
import { useTempDir } from "../support/temp-dir.js";

const model = { modelSha256: "a".repeat(64), preprocessSha256: "b".repeat(64), precision: "fp32" } as const;

describe("producer/submission", () => {
  const tempDir = useTempDir();
  beforeEach(() => mkdir(join(tempDir(), "my.photos")));

  const submit = (flags: Record<string, unknown> = {}, source = "my.photos") =>
    openSubmission([source], resolveOptions({ flags }), { cwd: tempDir(), model, against: null });

  it("names the dataset after the source and the identity, however the source is written", async () => {
    const { out, identity } = await submit();
    assert.equal(out, join(tempDir(), `labelmill-out/my-${identityHash(identity).slice(0, 8)}`));
    assert.equal((await submit({}, join(tempDir(), "my.photos/"))).out, out);
    assert.equal((await submit({ out: "labels" })).out, join(tempDir(), "labels"));
    assert.equal((await submit({ out: "/labels" })).out, "/labels");
  });

  it("names the dataset of a glob after its last part without wildcards", async () => {
    assert.match((await submit({}, "my.photos/**/*.jpg")).out, /labelmill-out\/my-[0-9a-f]{8}$/);
    assert.match((await submit({}, "my.photos/a*.jpg")).out, /labelmill-out\/a-[0-9a-f]{8}$/);
  });

  it("takes every option of the class identity into the identity, and no other", async () => {
    const { out } = await submit();
    const identities = [
      { include: ["*.png"] },
      { exclude: ["*.png"] },
      { allFiles: true },
      { limit: 5 },
      { sample: 5 },
      { sampleSeed: 5 },
      { dedupe: "uri" },
      { uriColumn: "url" },
      { idColumn: "id" },
      { keepColumns: "a,b" },
      { inputFormat: "csv" },
      { chunkSize: 5 },
      { model: "other" },
      { topK: 1 },
      { embedding: "none" },
      { format: "jsonl" },
    ];
    const outs = await Promise.all(identities.map(async (flags) => (await submit(flags)).out));
    assert.equal(new Set([out, ...outs]).size, 1 + identities.length);
    const others = { batchSize: 3, itemTimeoutMs: 500, maxItemBytes: 5000, redisUrl: "redis://x", lockMs: 5000 };
    assert.equal((await submit(others)).out, out);
  });
});
