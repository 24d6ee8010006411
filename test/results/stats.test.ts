import assert from "node:assert/strict";
import { openResults } from "../../src/results/open.js";
import { computeStats } from "../../src/results/stats.js";
import { failedRow, inDirectory, okRow } from "../dataset/samples.js";
import { writeDataset, writeRows } from "./samples.js";

for (const format of ["parquet", "jsonl"] as const) {
  describe(`results/stats (${format})`, () => {
    it("counts rows, failures and labels", () =>
      inDirectory(async (directory) => {
        const runId = await writeDataset(directory, format);
        const score = 0.1 + 0.7;
        const stats = await computeStats(await openResults(directory));
        const { labels, ...totals } = stats;
        assert.deepEqual(totals, {
          runId,
          complete: false,
          model: "resnet50",
          parts: 2,
          items: 6,
          ok: 4,
          failed: 2,
          failuresByCode: { DECODE_CORRUPT: 1, FETCH_NOT_FOUND: 1 },
          meanScore: (1.5 + score) / 4,
          // 0.1 + 0.7 is 0.7999999999999999 in binary.
          scores: [0, 0, 0, 0, 0, 3, 0, 1, 0, 0],
        });
        assert.deepEqual(labels, [
          { label: "tench", index: 0, count: 2, meanScore: 0.5 },
          { label: "tabby", index: 281, count: 2, meanScore: (0.5 + score) / 2 },
        ]);
      }));
  });
}

describe("results/stats", () => {
  it("tells classes of one name apart, and counts a score of 1 in the last tenth", () =>
    inDirectory(async (directory) => {
      await writeRows(directory, [
        { ...okRow(0), label: "crane", label_index: 134, score: 1 },
        { ...okRow(1), label: "crane", label_index: 517, score: 0 },
        { ...okRow(2), label: "crane", label_index: 517, score: 0.1 },
      ]);
      const { labels, scores } = await computeStats(await openResults(directory));
      assert.deepEqual(
        labels.map(({ label, index, count }) => [label, index, count]),
        [
          ["crane", 517, 2],
          ["crane", 134, 1],
        ],
      );
      assert.deepEqual(scores, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    }));

  it("has no mean score where no row is ok", () =>
    inDirectory(async (directory) => {
      await writeRows(directory, [failedRow(0)]);
      const { ok, meanScore, labels } = await computeStats(await openResults(directory));
      assert.deepEqual({ ok, meanScore, labels }, { ok: 0, meanScore: null, labels: [] });
    }));
});
