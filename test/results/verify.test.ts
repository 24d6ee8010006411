import assert from "node:assert/strict";
import { copyFile, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { itemIdOf, pinSegment, sealItems } from "../../src/dataset/items.js";
import { commitPart } from "../../src/dataset/part.js";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { writeSummary } from "../../src/dataset/summary.js";
import { verifyResults } from "../../src/results/verify.js";
import { failedRow, okRow, sampleDraft, sampleIdentity } from "../dataset/samples.js";
import { useTempDir } from "../support/temp-dir.js";

for (const format of ["parquet", "jsonl"] as const) {
  describe(`results/verify (${format})`, () => {
    const tempDir = useTempDir();
    const partFile = (chunk: number) => join(tempDir(), `parts/part-0000000${chunk}.${format}`);

    /** Three chunks of two items, the last one short; every item's row but item 3's is ok. */
    async function writeRun({ withSummary = true } = {}): Promise<void> {
      const storage = openStorage(tempDir());
      const { head } = await createRunHead(storage, { ...sampleIdentity, format, chunkSize: 2 });
      const items = Array.from({ length: 5 }, (_, index) => ({
        index,
        id: itemIdOf(`/p/${index}`),
        uri: `/p/${index}`,
      }));
      const rows = items.map(({ index, id }) => ({
        ...(index === 3 ? failedRow(3) : okRow(index)),
        run_id: head.runId,
        item_id: id,
      }));
      const common = { chunkSize: 2, resumeToken: null, leftOut: {} };
      await pinSegment(storage, {
        ...common,
        segment: 0,
        firstChunk: 0,
        chunks: 1,
        firstItem: 0,
        items: items.slice(0, 2),
      });
      await pinSegment(storage, {
        ...common,
        segment: 1,
        firstChunk: 1,
        chunks: 2,
        firstItem: 2,
        items: items.slice(2),
      });
      await sealItems(storage, { segments: 2, chunks: 3, items: 5, leftOut: {} });
      for (const chunk of [0, 1, 2]) {
        const draft = sampleDraft(rows.slice(chunk * 2, chunk * 2 + 2), { format, chunkSize: 2 });
        await commitPart(storage, { ...draft, head, chunk });
      }
      const counts = { items: 5, ok: 4, failed: 1, failuresByCode: {} };
      const rest = {
        duplicates: 0,
        carried: 0,
        seconds: 1,
        imagesPerSecond: 5,
        engines: [],
        whyEngines: {},
        precision: "fp32",
        boundBy: null,
        stageShares: {},
        out: tempDir(),
      };
      const model = { model: head.identity.model, modelSha256: head.identity.modelSha256 };
      if (withSummary)
        await writeSummary(storage, { runId: head.runId, status: "completed", ...counts, ...rest, ...model });
    }
    const problems = async () => (await verifyResults(tempDir())).problems;

    it("finds nothing wrong with a sound dataset, and counts it", async () => {
      await writeRun();
      const { runId: _, ...found } = await verifyResults(tempDir());
      assert.deepEqual(found, { complete: true, items: 5, rows: 5, ok: 4, failed: 1, parts: 3, problems: [] });
    });

    it("takes a missing part as work to do in a run that goes on, and as a loss in a complete one", async () => {
      await writeRun({ withSummary: false });
      await rm(partFile(1));
      assert.deepEqual(await problems(), []);
      await rm(tempDir(), { recursive: true });
      await writeRun();
      await rm(partFile(1));
      assert.match((await problems()).join("\n"), /1 of 3 parts are missing[\s\S]*summary says 5 items/);
    });

    it("finds rows of other items, short parts, damaged parts, stray files and wrong totals", async () => {
      await writeRun();
      await copyFile(partFile(0), partFile(2));
      assert.match((await problems()).join("\n"), format === "jsonl" ? /2 rows for 1 items/ : /part-00000002/);
      await truncate(partFile(0), 100);
      assert.match((await problems()).join("\n"), /part-00000000/);
      await rename(partFile(1), partFile(7));
      assert.match((await problems()).join("\n"), /part-00000007\.\w+ is no part of the pinned list/);
    });

    it("finds a summary that says other than the parts", async () => {
      await writeRun();
      const path = join(tempDir(), "summary.json");
      await writeFile(path, (await readFile(path, "utf8")).replace('"ok": 4', '"ok": 5'));
      assert.match((await problems()).join("\n"), /summary says 5 items, 5 ok/);
    });
  });
}
