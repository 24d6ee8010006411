import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { readSummary, writeSummary } from "../../src/dataset/summary.js";
import { inDirectory, sampleSummary } from "./samples.js";

describe("dataset/summary", () => {
  it("is written once, and whoever comes later gets the first", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      assert.equal(await readSummary(storage), null);
      assert.deepEqual(await writeSummary(storage, sampleSummary), sampleSummary);
      assert.deepEqual(await writeSummary(storage, { ...sampleSummary, seconds: 99 }), sampleSummary);
      assert.deepEqual(await readSummary(storage), sampleSummary);
    }));

  it("has no duplicates where the version that wrote it knew of none", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await writeSummary(storage, sampleSummary);
      const {
        duplicates,
        carried: _,
        ...earlier
      } = JSON.parse(await readFile(join(directory, "summary.json"), "utf8"));
      assert.equal(duplicates, 1);
      await writeFile(join(directory, "summary.json"), JSON.stringify(earlier));
      assert.deepEqual(await readSummary(storage), { ...sampleSummary, duplicates: 0 });
    }));

  it("refuses a file that is no summary", () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, "summary.json"), '{"runId":1}');
      await assert.rejects(readSummary(openStorage(directory)), { code: "RUN_DATASET_CORRUPT", message: /runId/ });
    }));
});
