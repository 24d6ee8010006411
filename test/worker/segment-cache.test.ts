import assert from "node:assert/strict";
import { itemIdOf, pinSegment, type Segment } from "../../src/dataset/items.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { createSegmentCache } from "../../src/worker/segment-cache.js";
import { useTempDir } from "../support/temp-dir.js";

const segment: Segment = {
  segment: 1,
  firstChunk: 1,
  chunks: 2,
  firstItem: 2,
  chunkSize: 2,
  items: [2, 3, 4].map((index) => ({ index, id: itemIdOf(`/i/${index}`), uri: `/i/${index}` })),
  resumeToken: null,
  leftOut: {},
};
const refFor = (chunk: number, sha256: string) => ({ v: 1, run: "r", chunk, segment: 1, sha256 }) as const;

describe("worker/segment-cache", () => {
  const tempDir = useTempDir();
  let reads: number;
  const counted = (): Storage => {
    const storage = openStorage(tempDir());
    reads = 0;
    return {
      ...storage,
      read: (path) => {
        reads += 1;
        return storage.read(path);
      },
    };
  };

  it("reads a segment once for all its chunks, also for chunks that ask at the same time", async () => {
    const storage = counted();
    const { sha256 } = await pinSegment(storage, segment);
    const cache = createSegmentCache(storage);
    reads = 0;
    const got = await Promise.all([1, 2, 1].map((chunk) => cache.get(refFor(chunk, sha256))));
    for (const { items } of got) assert.deepEqual(items, segment.items);
    assert.equal(reads, 1);
  });

  it("refuses a job that was made from another segment, or whose chunk the segment does not hold", async () => {
    const storage = counted();
    const { sha256 } = await pinSegment(storage, segment);
    const cache = createSegmentCache(storage);
    const refused = (message: RegExp) => ({ code: "RUN_JOB_INVALID", message });
    await assert.rejects(cache.get(refFor(1, "0".repeat(64))), refused(/segment 1 has another digest/));
    await assert.rejects(cache.get(refFor(3, sha256)), refused(/segment 1 does not hold it/));
    assert.equal((await cache.get(refFor(2, sha256))).firstChunk, 1);
  });

  it("looks again for a segment that was not there yet", async () => {
    const storage = counted();
    const cache = createSegmentCache(storage);
    await assert.rejects(cache.get(refFor(1, "0".repeat(64))), { message: /no segment 1/ });
    const { sha256 } = await pinSegment(storage, segment);
    assert.equal((await cache.get(refFor(1, sha256))).firstChunk, 1);
  });
});
