import assert from "node:assert/strict";
import { listCurrentRows, listRetries, readCurrent, readCurrentSummary } from "../../src/dataset/current-rows.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { writeSummary } from "../../src/dataset/summary.js";
import { useTempDir } from "../support/temp-dir.js";
import { sampleSummary } from "./samples.js";

describe("dataset/current-rows", () => {
  const tempDir = useTempDir();
  const none = new Uint8Array(0);

  async function datasetWithRetries() {
    const storage = openStorage(tempDir());
    for (const chunk of [0, 1, 2]) await storage.createOnce(`parts/part-0000000${chunk}.parquet`, none);
    await storage.createOnce("retry-0001/parts/part-00000001.parquet", none);
    await storage.createOnce("retry-0002/parts/part-00000002.parquet", none);
    return { storage, retries: [1, 2].map((n) => openStorage(`${tempDir()}/retry-000${n}`)) };
  }
  const paths = async (...given: Parameters<typeof listCurrentRows>) =>
    (await listCurrentRows(...given)).map(({ path }) => path);
  const own = [0, 1, 2].map((chunk) => `parts/part-0000000${chunk}.parquet`);

  it("takes a retry's parts and summary from the moment that its summary is there, and not before", async () => {
    const { storage, retries } = await datasetWithRetries();
    const [first] = retries;
    assert.ok(first);
    await writeSummary(storage, { ...sampleSummary, ok: 1 });
    assert.deepEqual([await listRetries(storage), await paths(storage, "parquet")], [[1, 2], own]);
    assert.equal((await readCurrentSummary(storage))?.ok, 1);
    await writeSummary(first, { ...sampleSummary, ok: 2 });
    const mended = own.with(1, "retry-0001/parts/part-00000001.parquet");
    assert.deepEqual(await paths(storage, "parquet"), mended);
    assert.equal((await readCurrentSummary(storage))?.ok, 2);
    assert.deepEqual(await paths(storage, "jsonl"), []);
  });

  it("tells the summary of the rows that it lists, where a retry completes in between", async () => {
    const { storage, retries } = await datasetWithRetries();
    await writeSummary(storage, { ...sampleSummary, ok: 1 });
    const completing: Storage = {
      ...storage,
      async read(path) {
        const bytes = await storage.read(path);
        for (const retry of path === "summary.json" ? retries : []) await writeSummary(retry, sampleSummary);
        return bytes;
      },
    };
    const { summary, rows } = await readCurrent(completing, "parquet");
    assert.deepEqual([summary?.ok, rows.map(({ path }) => path)], [1, own]);
    const now = await readCurrent(storage, "parquet");
    assert.equal(now.summary?.ok, sampleSummary.ok);
    assert.equal(now.rows.filter(({ path }) => path.startsWith("retry-")).length, 2);
  });

  it("shows a retry the dataset as it was before", async () => {
    const { storage, retries } = await datasetWithRetries();
    for (const retry of retries) await writeSummary(retry, sampleSummary);
    const mended = own.with(1, "retry-0001/parts/part-00000001.parquet");
    assert.deepEqual(await paths(storage, "parquet", 2), mended);
    assert.deepEqual(await paths(storage, "parquet", 1), own);
  });
});
