import assert from "node:assert/strict";
import { listCurrentRows, listRetries, readCurrentSummary } from "../../src/dataset/current-rows.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
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

  it("shows a retry the dataset as it was before", async () => {
    const { storage, retries } = await datasetWithRetries();
    for (const retry of retries) await writeSummary(retry, sampleSummary);
    const mended = own.with(1, "retry-0001/parts/part-00000001.parquet");
    assert.deepEqual(await paths(storage, "parquet", 2), mended);
    assert.deepEqual(await paths(storage, "parquet", 1), own);
  });
});
