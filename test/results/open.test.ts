import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openResults } from "../../src/results/open.js";
import { collect, inDirectory, okRow } from "../dataset/samples.js";
import { writeDataset } from "./samples.js";

for (const format of ["parquet", "jsonl"] as const) {
  describe(`results/open (${format})`, () => {
    it("reads the rows of all parts in item order", () =>
      inDirectory(async (directory) => {
        const runId = await writeDataset(directory, format);
        const results = await openResults(directory);
        assert.equal(results.head.runId, runId);
        assert.equal(results.summary, null);
        assert.equal(results.partPaths.length, 2);
        const rows = await collect(results.rows());
        assert.deepEqual(
          rows.map((row) => row.item_index),
          [0, 1, 2, 3, 4, 5],
        );
        assert.deepEqual(rows[1]?.embedding, okRow(1).embedding);
        const projected = await collect(results.rows({ columns: ["item_index", "status"] }));
        assert.deepEqual(projected[5], { item_index: 5, status: "failed" });
      }));

    it("reads one row by its index, and null where its part is not there", () =>
      inDirectory(async (directory) => {
        await writeDataset(directory, format);
        const results = await openResults(directory);
        assert.equal((await results.rowAt(5))?.error_code, "FETCH_NOT_FOUND");
        assert.deepEqual(await results.rowAt(3, { columns: ["uri"] }), { uri: "/photos/3.jpg" });
        assert.equal(await results.rowAt(6), null);
        assert.equal(await results.rowAt(8), null);
      }));

    it("passes over files that are no parts of the run", () =>
      inDirectory(async (directory) => {
        await writeDataset(directory, format);
        const other = format === "parquet" ? "jsonl" : "parquet";
        for (const name of [`part-00000000.${other}`, "notes.txt"])
          await writeFile(join(directory, "parts", name), "x");
        assert.equal((await openResults(directory)).partPaths.length, 2);
      }));
  });
}

describe("results/open", () => {
  it("refuses a directory that is no dataset", () =>
    inDirectory(async (directory) => {
      await assert.rejects(openResults(directory), { code: "RUN_NOT_A_DATASET" });
    }));
});
