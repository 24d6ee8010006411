import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { readSummary, type Summary, writeSummary } from "../../src/dataset/summary.js";
import { inDirectory, sampleRunId } from "./samples.js";

const summary: Summary = {
  runId: sampleRunId,
  status: "completed",
  items: 2,
  ok: 1,
  failed: 1,
  failuresByCode: { DECODE_CORRUPT: 1 },
  duplicates: 1,
  seconds: 1.5,
  imagesPerSecond: 1.3,
  engines: ["onnx/cpu"],
  whyEngines: { "onnx/cpu": "the fastest CPU engine here" },
  precision: "fp32",
  model: "resnet50",
  modelSha256: "a".repeat(64),
  boundBy: null,
  out: "/out",
};

describe("dataset/summary", () => {
  it("is written once, and whoever comes later gets the first", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      assert.equal(await readSummary(storage), null);
      assert.deepEqual(await writeSummary(storage, summary), summary);
      assert.deepEqual(await writeSummary(storage, { ...summary, seconds: 99 }), summary);
      assert.deepEqual(await readSummary(storage), summary);
    }));

  it("has no duplicates where the version that wrote it knew of none", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await writeSummary(storage, summary);
      const { duplicates, ...earlier } = JSON.parse(await readFile(join(directory, "summary.json"), "utf8"));
      assert.equal(duplicates, 1);
      await writeFile(join(directory, "summary.json"), JSON.stringify(earlier));
      assert.deepEqual(await readSummary(storage), { ...summary, duplicates: 0 });
    }));

  it("refuses a file that is no summary", () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, "summary.json"), '{"runId":1}');
      await assert.rejects(readSummary(openStorage(directory)), { code: "RUN_DATASET_CORRUPT", message: /runId/ });
    }));
});
