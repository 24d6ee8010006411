import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { writeSummary } from "../../src/dataset/summary.js";
import { findFinished } from "../../src/library/finished.js";
import { sampleIdentity } from "../dataset/samples.js";
import { useTempDir } from "../support/temp-dir.js";

describe("library/finished", () => {
  const tempDir = useTempDir();

  it("finds the summary of a complete dataset, nothing before, and writes nothing", async () => {
    const storage = openStorage(tempDir());
    assert.equal(await findFinished(storage, sampleIdentity), null);
    assert.deepEqual(await readdir(tempDir()), []);
    const { head } = await createRunHead(storage, sampleIdentity);
    assert.equal(await findFinished(storage, sampleIdentity), null);
    const { precision, model, modelSha256 } = sampleIdentity;
    const counts = {
      items: 1,
      ok: 1,
      failed: 0,
      failuresByCode: {},
      duplicates: 0,
      carried: 0,
      seconds: 1,
      imagesPerSecond: 1,
      engines: [],
      whyEngines: {},
    };
    const names = {
      runId: head.runId,
      status: "completed",
      precision,
      model,
      modelSha256,
      boundBy: null,
      stageShares: {},
    } as const;
    const summary = await writeSummary(storage, { ...counts, ...names, out: storage.location });
    assert.deepEqual(await findFinished(storage, sampleIdentity), summary);
    const left = ".labelmill-0123456789abcdef.tmp";
    for (const folder of ["parts", "retry-0001/parts", "retry-0002/parts", "compacted"]) {
      await mkdir(join(tempDir(), folder), { recursive: true });
      await writeFile(join(tempDir(), folder, left), "");
    }
    await writeSummary(openStorage(join(tempDir(), "retry-0001")), summary);
    assert.deepEqual(await findFinished(storage, sampleIdentity), summary);
    // A retry and a compaction may be at work.
    const entries = await readdir(tempDir(), { recursive: true });
    const temporary = entries.filter((path) => path.endsWith(left)).sort();
    assert.deepEqual(temporary, [`compacted/${left}`, `retry-0002/parts/${left}`]);
    await assert.rejects(findFinished(storage, { ...sampleIdentity, topK: 9 }), { code: "RUN_IDENTITY" });
  });
});
