import assert from "node:assert/strict";
import fc from "fast-check";
import { itemIdOf, segmentChunks } from "../../src/dataset/items.js";
import { cutSegments, positionAfter } from "../../src/producer/chunk.js";
import type { SourceItem } from "../../src/producer/source/source.js";
import { collect } from "../support/temp-dir.js";

async function* itemsFrom(first: number, count: number): AsyncGenerator<SourceItem> {
  for (let i = first; i < first + count; i += 1) yield { uri: `/i/${i}`, token: String(i) };
}
const start = { segment: 0, chunk: 0, item: 0 };

describe("producer/chunk", () => {
  it("cuts segments of 1, 2, 4, … chunks, full but for the last", async () => {
    const segments = await collect(cutSegments(itemsFrom(0, 30), start, 4));
    assert.deepEqual(
      segments.map(({ chunks, items }) => [chunks, items.length]),
      [
        [1, 4],
        [2, 8],
        [4, 16],
        [1, 2],
      ],
    );
  });

  it("numbers items and chunks without gaps, and holds the token of its last item", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 9 }), async (count, chunkSize) => {
        const segments = await collect(cutSegments(itemsFrom(0, count), start, chunkSize));
        const items = segments.flatMap((segment) => segment.items);
        assert.deepEqual(
          items.map(({ index }) => index),
          Array.from({ length: count }, (_, i) => i),
        );
        for (const segment of segments) {
          assert.equal(segment.firstItem, segment.firstChunk * chunkSize);
          assert.equal(segment.resumeToken, String(segment.items.at(-1)?.index));
          assert.ok(segment.chunks <= segmentChunks(segment.segment));
        }
      }),
    );
  });

  it("ends a segment of long rows early, at a whole chunk", async () => {
    async function* longItems(): AsyncGenerator<SourceItem> {
      for (let i = 0; i < 200; i += 1) yield { uri: `/i/${i}`, extra: { text: "x".repeat(2 ** 20) }, token: String(i) };
    }
    const sizes = [];
    for await (const { items } of cutSegments(longItems(), start, 4)) sizes.push(items.length);
    assert.deepEqual(sizes, [4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 12]);
  });

  it("counts ids, names of columns and messages of failures among what makes a segment long", async () => {
    const long = "x".repeat(2 ** 20);
    const failure = { code: "ITEM_INVALID" as const, message: long };
    for (const part of [{ id: long }, { extra: { [long]: "" } }, { failure }]) {
      async function* items(): AsyncGenerator<SourceItem> {
        for (let i = 0; i < 60; i += 1) yield { uri: `/i/${i}`, token: String(i), ...part };
      }
      const sizes = (await collect(cutSegments(items(), start, 4))).map((segment) => segment.items.length);
      assert.deepEqual(sizes, [4, 8, 16, 16, 16]);
    }
  });

  it("keeps an id that its source gives, and makes one where there is none", async () => {
    async function* items(): AsyncGenerator<SourceItem> {
      yield { uri: "/a", id: "x", token: "1" };
      yield { uri: "/a", token: "2" };
    }
    const [segment] = await collect(cutSegments(items(), start, 4));
    assert.deepEqual(
      segment?.items.map(({ id }) => id),
      ["x", itemIdOf("/a")],
    );
  });

  it("gives the same segments when it goes on behind any of them", async () => {
    const whole = await collect(cutSegments(itemsFrom(0, 50), start, 3));
    for (const [i, segment] of whole.entries()) {
      const position = positionAfter(segment);
      const rest = await collect(cutSegments(itemsFrom(position.item, 50 - position.item), position, 3));
      assert.deepEqual(rest, whole.slice(i + 1));
    }
  });
});
