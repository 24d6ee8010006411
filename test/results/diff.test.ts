import assert from "node:assert/strict";
import { join } from "node:path";
import type { Row } from "../../src/dataset/row.js";
import { diffDatasets } from "../../src/results/diff.js";
import { failedRow, okRow } from "../dataset/samples.js";
import { useTempDir } from "../support/temp-dir.js";
import { writeRows } from "./samples.js";

describe("results/diff", () => {
  const tempDir = useTempDir();
  const signal = new AbortController().signal;
  const of = (row: Row, id: string, more: Partial<Row> = {}): Row => ({ ...row, item_id: id, uri: `/${id}`, ...more });

  async function diff(a: readonly Row[], b: readonly Row[], identity: Parameters<typeof writeRows>[2] = {}) {
    await writeRows(join(tempDir(), "a"), a);
    await writeRows(join(tempDir(), "b"), b, identity);
    return diffDatasets(join(tempDir(), "a"), join(tempDir(), "b"), { signal, reading: () => ({}) });
  }

  it("joins items by id in any order, and counts what became of each", async () => {
    const a = [of(okRow(0), "x"), of(okRow(1), "y"), of(failedRow(2), "f"), of(okRow(3), "gone"), of(okRow(4), "g")];
    const tench = { label: "tench", label_index: 0, score: 0.5 };
    const b = [
      of(okRow(0), "new"),
      of(failedRow(1), "g"),
      of(okRow(2), "f"),
      of(okRow(3), "y", { ...tench, embedding: Float32Array.of(1, 0.1, 1 / 3) }),
      of(okRow(4), "x", { ...tench, embedding: Float32Array.of(0, 0.1, 1 / 3) }),
    ];
    const found = await diff(a, b);
    assert.deepEqual([found.items, found.a.only, found.b.only, found.a.rows, found.b.rows], [4, 1, 1, 5, 5]);
    assert.deepEqual(found.status, { bothOk: 2, bothFailed: 0, okToFailed: 1, failedToOk: 1 });
    assert.equal(found.flipped, 1);
    assert.deepEqual(found.flips, [{ from: "tabby", to: "tench", count: 1, examples: [{ itemId: "x", uri: "/x" }] }]);
    assert.deepEqual([found.cosine?.count, found.cosine?.min, found.cosine?.max], [2, 1, 1]);
    assert.equal(found.scoreShift?.min, 0.5 - (0.1 + 0.7));
  });

  it("compares the rows of one id in their order, each once", async () => {
    const a = [0, 1, 2].map((i) => of(okRow(i), "same", { label: `a${i}` }));
    const b = [0, 1, 2, 3].map((i) => of(okRow(i), "same", { label: `b${i}` }));
    const found = await diff(a, b);
    assert.deepEqual(found.flips.map(({ from, to }) => `${from} ${to}`).sort(), ["a0 b0", "a1 b1", "a2 b2"]);
    assert.deepEqual([found.a.only, found.b.only], [0, 1]);
  });

  it("says why there is no cosine", async () => {
    const without = okRow(0);
    const found = await diff([okRow(0)], [{ ...without, embedding: null }], { embedding: "none" });
    assert.equal(found.cosine, null);
    assert.match(found.whyNoCosine ?? "", /b keeps no embeddings$/);
  });
});
