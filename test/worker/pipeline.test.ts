import assert from "node:assert/strict";
import type { PinnedItem } from "../../src/dataset/items.js";
import { countRows } from "../../src/dataset/row.js";
import { type FetchedItem, type PredictedItem, runChunk, type Stages } from "../../src/worker/pipeline.js";
import { okRow } from "../dataset/samples.js";

const ref = { v: 1, run: "r", chunk: 3, segment: 0, sha256: "0".repeat(64) } as const;
const items: PinnedItem[] = [0, 1, 2].map((index) => ({ index, id: `${index}`, uri: `/${index}` }));

describe("worker/pipeline", () => {
  /** Stages that pass each item on; `commits` is what they were asked to commit. */
  function passOn(predict: Stages["predict"]): { stages: Stages; commits: (readonly number[])[] } {
    const commits: (readonly number[])[] = [];
    const stages: Stages = {
      items: async () => items,
      async *fetch(pinned) {
        for (const item of pinned) yield { item } as FetchedItem;
      },
      predict,
      toRow: ({ item }) => okRow(item.index),
      async commit(chunk, rows) {
        assert.equal(chunk, ref);
        commits.push(rows.map((row) => row.item_index));
        return { ...countRows(rows), duplicates: 0, carried: 0 };
      },
    };
    return { stages, commits };
  }

  it("commits a chunk's rows once, in the items' order, and returns what the commit counted", async () => {
    const { stages, commits } = passOn(async function* (fetched) {
      for await (const { item } of fetched) yield { item } as PredictedItem;
    });
    const counts = { items: 3, ok: 3, failed: 0, failuresByCode: {}, duplicates: 0, carried: 0 };
    assert.deepEqual(await runChunk(ref, stages), counts);
    assert.deepEqual(commits, [[0, 1, 2]]);
  });

  it("commits nothing where a stage throws, and lets the stage before it end", async () => {
    let isEnded = false;
    const { stages, commits } = passOn(async function* (fetched) {
      try {
        for await (const { item } of fetched) {
          if (item.index === 1) throw new Error("no engine");
          yield { item } as PredictedItem;
        }
      } finally {
        isEnded = true;
      }
    });
    await assert.rejects(runChunk(ref, stages), /no engine/);
    assert.deepEqual(commits, []);
    assert.ok(isEnded);
  });
});
