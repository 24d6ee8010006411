import assert from "node:assert/strict";
import { openResults } from "../../src/results/open.js";
import { computeStats } from "../../src/results/stats.js";
import { inDirectory } from "../dataset/samples.js";
import { writeDataset } from "./samples.js";

for (const format of ["parquet", "jsonl"] as const) {
  describe(`results/stats (${format})`, () => {
    it("counts rows, failures and labels", () =>
      inDirectory(async (directory) => {
        const runId = await writeDataset(directory, format);
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
        });
        const score = 0.1 + 0.7;
        assert.deepEqual(labels, [
          { label: "tabby", count: 2, meanScore: (0.5 + score) / 2 },
          { label: "tench", count: 2, meanScore: 0.5 },
        ]);
      }));
  });
}
