import assert from "node:assert/strict";
import { chunkJobId, parseChunkRef } from "../../src/shared/job.js";

const good = { v: 1, run: "r1", chunk: 3, segment: 2, sha256: "a".repeat(64) };

describe("shared/job", () => {
  it("accepts the producer's own reference", () => {
    assert.deepEqual(parseChunkRef("r1", "chunk-3", good), good);
  });

  it("refuses anything else, naming the job and the reason", () => {
    const bad: [unknown, RegExp][] = [
      [null, /chunk-3.*expected object/i],
      [{ ...good, v: 2 }, /v: /],
      [{ ...good, chunk: -1 }, /chunk: /],
      [{ ...good, sha256: "x" }, /sha256: /],
      [{ ...good, items: [] }, /items/],
      [{ ...good, run: "r2" }, /names run r2/],
    ];
    for (const [data, message] of bad) {
      assert.throws(() => parseChunkRef("r1", "chunk-3", data), { code: "RUN_JOB_INVALID", message });
    }
  });

  it("makes ids that BullMQ takes: no colon, not digits only", () => {
    assert.match(chunkJobId(7), /^[^:]*[a-z][^:]*$/);
  });
});
