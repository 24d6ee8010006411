import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import {
  chunkItems,
  itemIdOf,
  type PinnedItem,
  pinSegment,
  readSealed,
  readSegment,
  readSegments,
  type Segment,
  sealItems,
  segmentChunks,
} from "../../src/dataset/items.js";
import { segmentPath } from "../../src/dataset/layout.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { collect, inDirectory } from "./samples.js";

function sampleSegment(items: readonly PinnedItem[], numbers: Partial<Segment> = {}): Segment {
  const chunkSize = numbers.chunkSize ?? 4;
  const firstChunk = numbers.firstChunk ?? 0;
  const chunks = Math.ceil(items.length / chunkSize);
  return {
    segment: 0,
    firstChunk,
    chunks,
    firstItem: firstChunk * chunkSize,
    items,
    resumeToken: null,
    leftOut: {},
    chunkSize,
    ...numbers,
  };
}

const plainItem = (index: number): PinnedItem => ({ index, id: itemIdOf(`/p/${index}`), uri: `/p/${index}` });
const anyText = fc.string({ unit: "binary", maxLength: 20 }).map((text) => `${text}\u2028\n\ud800`);
const anyItem = fc.record(
  {
    id: anyText,
    uri: anyText,
    line: fc.integer({ min: 1 }),
    extra: fc.dictionary(anyText, anyText, { noNullPrototype: true }),
    failure: anyText.map((message) => ({ code: "ITEM_INVALID" as const, message })),
  },
  { requiredKeys: ["id", "uri"], noNullPrototype: true },
);

describe("dataset/items", () => {
  it("gives segments 1, 2, 4 … 64, 64 chunks", () => {
    assert.deepEqual([0, 1, 2, 5, 6, 7, 1000].map(segmentChunks), [1, 2, 4, 32, 64, 64, 64]);
  });

  it("brings back any item as it was pinned", () =>
    inDirectory(async (directory) => {
      let n = 0;
      const property = fc.asyncProperty(
        fc.array(anyItem, { minLength: 1, maxLength: 9 }),
        anyText,
        async (items, token) => {
          const storage = openStorage(join(directory, String(n++)));
          await storage.prepare();
          const pinned = items.map((item, index) => ({ index, ...item }));
          const segment = sampleSegment(pinned, { resumeToken: token });
          const { sha256 } = await pinSegment(storage, segment);
          assert.deepEqual(await readSegment(storage, 0, sha256), { ...segment, sha256 });
        },
      );
      await fc.assert(property, { numRuns: 40 });
    }));

  it("keeps what was pinned first, and says which bytes those are", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      const first = await pinSegment(storage, sampleSegment([plainItem(0)]));
      const same = await pinSegment(storage, sampleSegment([plainItem(0)]));
      const other = await pinSegment(storage, sampleSegment([{ index: 0, id: "x", uri: "/changed" }]));
      assert.deepEqual([first.created, same.created, other.created], [true, false, false]);
      assert.equal(same.sha256, first.sha256);
      assert.equal(other.sha256, first.sha256);
      assert.equal((await readSegment(storage, 0))?.items[0]?.uri, "/p/0");
    }));

  it("finds the items of a chunk by its number in the run", () => {
    const items = Array.from({ length: 7 }, (_, i) => plainItem(12 + i));
    const segment = sampleSegment(items, { segment: 2, firstChunk: 3 });
    assert.deepEqual(
      chunkItems(segment, 3).map(({ index }) => index),
      [12, 13, 14, 15],
    );
    assert.deepEqual(
      chunkItems(segment, 4).map(({ index }) => index),
      [16, 17, 18],
    );
    assert.throws(() => chunkItems(segment, 5), RangeError);
    assert.throws(() => chunkItems(segment, 2), RangeError);
  });

  it("refuses to pin numbers that do not agree", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await assert.rejects(pinSegment(storage, sampleSegment([plainItem(1)])), RangeError);
      await assert.rejects(pinSegment(storage, sampleSegment([plainItem(0)], { chunks: 2 })), RangeError);
      await assert.rejects(pinSegment(storage, sampleSegment([plainItem(0)], { firstItem: 4 })), RangeError);
      assert.equal(await readSegment(storage, 0), null);
    }));

  it("reads segments in order up to the first that is absent", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      const items = (from: number, n: number) => Array.from({ length: n }, (_, i) => plainItem(from + i));
      await pinSegment(storage, sampleSegment(items(4, 8), { segment: 1, firstChunk: 1 }));
      assert.deepEqual(await collect(readSegments(storage)), []);
      await pinSegment(storage, sampleSegment(items(0, 4)));
      assert.deepEqual(
        (await collect(readSegments(storage))).map(({ segment }) => segment),
        [0, 1],
      );
    }));

  it("refuses a damaged, cut, replaced or misplaced segment", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      const { sha256 } = await pinSegment(storage, sampleSegment([plainItem(0), plainItem(1)]));
      const file = join(directory, segmentPath(0));
      const whole = await readFile(file);
      const corrupt = { code: "RUN_DATASET_CORRUPT" };
      const replacements = [
        whole.subarray(0, whole.length - 4),
        Buffer.from(whole).fill(0, 20, 30),
        Buffer.alloc(0),
        gzipSync('{"schemaVersion":1}\n'),
        gzipSync("not json\n"),
      ];
      for (const bytes of replacements) {
        await writeFile(file, bytes);
        await assert.rejects(readSegment(storage, 0), corrupt);
      }
      await writeFile(file, gzipSync(Buffer.from("valid, but other bytes")));
      await assert.rejects(readSegment(storage, 0, sha256), { ...corrupt, message: /sha256/ });
      await writeFile(join(directory, segmentPath(1)), whole);
      await assert.rejects(readSegment(storage, 1), corrupt);
    }));

  it("seals once", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      assert.equal(await readSealed(storage), null);
      const sealed = { segments: 1, chunks: 1, items: 3, leftOut: { "not an image": 2 } };
      assert.deepEqual(await sealItems(storage, sealed), sealed);
      assert.deepEqual(await sealItems(storage, { ...sealed, items: 4 }), sealed);
      assert.deepEqual(await readSealed(storage), sealed);
      await writeFile(join(directory, "items/sealed.json"), '{"segments":-1}');
      await assert.rejects(readSealed(storage), { code: "RUN_DATASET_CORRUPT" });
    }));

  it("derives an id from the uri alone", () => {
    assert.equal(itemIdOf("/a.jpg"), itemIdOf("/a.jpg"));
    assert.match(itemIdOf("/a.jpg"), /^[0-9a-f]{32}$/);
    assert.notEqual(itemIdOf("/a.jpg"), itemIdOf("/b.jpg"));
  });
});
