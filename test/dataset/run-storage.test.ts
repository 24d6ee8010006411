import assert from "node:assert/strict";
import { access, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openRunStorage } from "../../src/dataset/run-storage.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { useTempDir } from "../support/temp-dir.js";
import { sampleIdentity } from "./samples.js";

const bytes = Buffer.from("rows");

describe("dataset/run-storage", () => {
  const tempDir = useTempDir();
  const out = () => join(tempDir(), "mount/out");

  async function newRun(at = out()) {
    const place = openStorage(at);
    const { head } = await createRunHead(place, sampleIdentity);
    return { head, storage: openRunStorage(place, head) };
  }
  const isThere = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );

  it("says of absent files that they are absent while run.json is there", async () => {
    const { storage } = await newRun();
    assert.equal(await storage.read("summary.json"), null);
    assert.equal(await storage.size("parts/part-00000000.parquet"), null);
    assert.deepEqual(await storage.list("parts/"), []);
  });

  it("reads and writes as the storage below it does", async () => {
    const { storage } = await newRun();
    assert.equal(storage.location, out());
    assert.equal(await storage.createOnce("parts/a", bytes), "created");
    assert.equal(await storage.createOnce("parts/a", Buffer.from("others")), "exists");
    assert.deepEqual(Buffer.from((await storage.read("parts/a")) ?? []), bytes);
    assert.equal(await storage.size("parts/a"), bytes.length);
    assert.deepEqual(Buffer.from(await storage.readRange("parts/a", 1, 3)), bytes.subarray(1, 3));
  });

  const gone = { code: "STORAGE_FAILED", retryable: true, message: /run\.json is gone/ };
  const ways: Record<string, () => Promise<void>> = {
    removed: () => rm(out(), { recursive: true }),
    "removed with the directory above it": () => rm(join(tempDir(), "mount"), { recursive: true }),
    "not mounted, an empty directory in its place": async () => {
      await rename(out(), join(tempDir(), "away"));
      await mkdir(out());
    },
  };
  for (const [way, vanish] of Object.entries(ways)) {
    it(`fails, and writes nothing, where the directory is ${way}`, async () => {
      const { storage } = await newRun();
      await storage.createOnce("parts/a", bytes);
      await vanish();
      const left = (await isThere(out())) ? [] : null;
      await assert.rejects(storage.read("parts/a"), gone);
      await assert.rejects(storage.read("summary.json"), gone);
      await assert.rejects(storage.size("parts/a"), gone);
      await assert.rejects(storage.createOnce("parts/b", bytes), gone);
      await assert.rejects(storage.createOnce("summary.json", bytes), gone);
      assert.deepEqual((await isThere(out())) ? await readdir(out()) : null, left);
    });
  }

  it("goes on when the directory is back", async () => {
    const { storage } = await newRun();
    await storage.createOnce("parts/a", bytes);
    await rename(out(), join(tempDir(), "away"));
    await assert.rejects(storage.createOnce("parts/b", bytes), gone);
    await rename(join(tempDir(), "away"), out());
    assert.equal(await storage.size("parts/a"), bytes.length);
    assert.equal(await storage.size("parts/b"), null);
    assert.equal(await storage.createOnce("parts/b", bytes), "created");
  });

  it("refuses another run's dataset in its place, and writes nothing into it", async () => {
    const { head, storage } = await newRun();
    await rename(out(), join(tempDir(), "away"));
    const other = await newRun();
    await other.storage.createOnce("parts/a", bytes);
    const lost = {
      code: "RUN_REPLACED",
      message: new RegExp(`holds run ${other.head.runId} now, not run ${head.runId}`),
    };
    await assert.rejects(storage.read("summary.json"), lost);
    await assert.rejects(storage.size("parts/b"), lost);
    await assert.rejects(storage.createOnce("parts/b", bytes), lost);
    assert.deepEqual(await other.storage.list("parts/"), ["parts/a"]);
  });

  it("refuses a dataset of the same run that was made anew", async () => {
    const { head } = await newRun();
    const storage = openRunStorage(openStorage(out()), { runId: head.runId, epoch: "of a dataset before" });
    await assert.rejects(storage.createOnce("parts/a", bytes), { code: "RUN_REPLACED" });
  });

  it("keeps the damage of run.json apart from its absence", async () => {
    const { storage } = await newRun();
    await rename(out(), join(tempDir(), "away"));
    await mkdir(join(out(), "run.json"), { recursive: true });
    await assert.rejects(storage.read("summary.json"), { code: "STORAGE_FAILED", message: /EISDIR/ });
  });
});
