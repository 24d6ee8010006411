import assert from "node:assert/strict";
import { cp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetMetadata, parquetSchema } from "hyparquet";
import type { PartFormat } from "../../src/dataset/layout.js";
import { commitPart, readPartCounts } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { type CompactOptions, compactResults } from "../../src/results/compact.js";
import { exportResults } from "../../src/results/export/open-exporter.js";
import { openResults } from "../../src/results/open.js";
import { queryOf, searchLabel, searchNearest } from "../../src/results/search.js";
import { computeStats } from "../../src/results/stats.js";
import { verifyResults } from "../../src/results/verify.js";
import { okRow, sampleDraft } from "../dataset/samples.js";
import { runCli, startCli } from "../support/cli.js";
import { testStoreSettings } from "../support/s3/settings.js";
import { startTestStore, type TestStore, testCredentialEnv } from "../support/s3/store.js";
import { collect, useTempDir } from "../support/temp-dir.js";
import { writeComplete, writeRetry, writeRows } from "./samples.js";

const items = 46;
const chunks = 12;
/** A few parts a file. */
const few = { targetBytes: 30_000 };

for (const format of ["parquet", "jsonl"] as const satisfies readonly PartFormat[]) {
  describe(`results/compact (${format})`, function () {
    this.timeout(60_000);
    const tempDir = useTempDir();
    const out = () => join(tempDir(), "out");
    const rowsOf = async () => collect((await openResults(out())).rows<keyof Row>());
    const files = async (folder: string) => (await readdir(join(out(), folder))).sort();
    const compact = (options: CompactOptions = few) => compactResults(out(), options);
    const target = format === "jsonl" ? { targetBytes: 6_000 } : few;

    it("holds the same rows in fewer files, and every command tells the same as before", async () => {
      const runId = await writeComplete(openStorage(out()), items, { format });
      const told = async () => {
        const results = await openResults(out());
        const near = await searchNearest(results, await queryOf(results, { index: 10 }), 5);
        const to = join(tempDir(), `${Math.random()}.jsonl`);
        const context = { results, columns: ["item_index", "embedding"] as const, copy: false, imageRoot: "/" };
        await exportResults("jsonl", { to, force: false }, { ...context, signal: new AbortController().signal });
        const { parts: _, ...stats } = await computeStats(results);
        const label = await searchLabel(results, "tench", 50);
        const one = await results.rowAt(45, { columns: ["item_id", "embedding"] });
        const counts = await readPartCounts(results.storage, 11, format);
        return { near, label, one, counts, stats, text: await readFile(to, "utf8"), none: await results.rowAt(items) };
      };
      const [before, rows] = [await told(), await rowsOf()];
      assert.equal(before.near.length, 5);
      const made = await compact(target);
      assert.deepEqual([made.runId, made.rows, made.chunks, made.removed], [runId, items, chunks, chunks]);
      assert.ok(made.files > 1 && made.files < chunks, `${made.files}`);
      assert.deepEqual(await files("parts"), []);
      assert.equal((await files("compacted")).length, made.files + 1);
      assert.deepEqual(await rowsOf(), rows);
      assert.deepEqual(await told(), before);
      const { problems, complete, parts } = await verifyResults(out());
      assert.deepEqual({ problems, complete, parts }, { problems: [], complete: true, parts: chunks });
      const again = await compact(target);
      assert.deepEqual([again.wasCompact, again.files, again.removed], [true, made.files, 0]);
    });

    it("leaves a retry's rows in the place of older ones, whether it came before or after", async () => {
      await writeComplete(openStorage(out()), items, { format });
      await cp(out(), join(tempDir(), "early"), { recursive: true });
      await compact(target);
      await writeRetry(out(), [1, 2, 11]);
      await writeRetry(join(tempDir(), "early"), [1, 2, 11]);
      await compactResults(join(tempDir(), "early"), target);
      for (const place of [out(), join(tempDir(), "early")]) {
        const results = await openResults(place);
        const rows = await collect(results.rows<keyof Row>());
        assert.deepEqual(
          rows.map(({ item_index }) => item_index),
          Array.from({ length: items }, (_, i) => i),
        );
        const isMended = (index: number) => [1, 2, 11].includes(Math.floor(index / 4));
        for (const { item_index: index, status } of rows)
          assert.equal(status, index % 5 === 4 && !isMended(index) ? "failed" : "ok", `${index}`);
        assert.equal((await results.rowAt(9, { columns: ["error_code"] }))?.error_code, null);
        const near = await searchNearest(results, await queryOf(results, { index: 44 }), items);
        assert.equal(new Set(near.map(({ item_index }) => item_index)).size, near.length);
        const { problems, complete, failed } = await verifyResults(place);
        assert.deepEqual({ problems, complete, failed }, { problems: [], complete: true, failed: 6 });
      }
    });

    it("goes on where a call was killed, before its index and after it", async () => {
      await writeComplete(openStorage(out()), items, { format });
      const rows = await rowsOf();
      await cp(join(out(), "parts"), join(tempDir(), "saved"), { recursive: true });
      const { files: made } = await compact(target);
      await writeFile(join(out(), "compacted/.labelmill-0123456789abcdef.tmp"), "half of a file");
      await rm(join(out(), "compacted/index.json"));
      await cp(join(tempDir(), "saved"), join(out(), "parts"), { recursive: true });
      assert.deepEqual(await rowsOf(), rows);
      const again = await compact(target);
      assert.deepEqual([again.files, again.removed, again.wasCompact], [made, chunks, false]);
      assert.equal((await files("compacted")).length, made + 1);
      for (const part of [2, 7]) {
        const name = `part-0000000${part}.${format}`;
        await cp(join(tempDir(), "saved", name), join(out(), "parts", name));
      }
      assert.deepEqual(await rowsOf(), rows);
      assert.deepEqual((await verifyResults(out())).problems, []);
      const last = await compact(target);
      assert.deepEqual([last.files, last.removed, last.wasCompact], [made, 2, true]);
      assert.deepEqual(await rowsOf(), rows);
    });

    it("removes no part where a file is not equal to its parts", async () => {
      const storage = openStorage(out());
      await writeComplete(storage, items, { format });
      const other = join(tempDir(), "other");
      await writeComplete(openStorage(other), items, { format });
      await compactResults(other, target);
      for (const name of (await readdir(join(other, "compacted"))).filter((each) => each !== "index.json"))
        await storage.createOnce(`compacted/${name}`, await readFile(join(other, "compacted", name)));
      await assert.rejects(compact(target), { code: "RUN_DATASET_CORRUPT", message: /another than its parts/ });
      assert.equal((await files("parts")).length, chunks);
      assert.deepEqual((await verifyResults(out())).problems, []);
    });

    it("is exact when two run at once with different targets", async () => {
      for (let round = 0; round < 5; round += 1) {
        await writeComplete(openStorage(out()), items, { format });
        const rows = await rowsOf();
        const both = await Promise.all([compact(target), compact({ targetBytes: target.targetBytes / 2 })]);
        assert.equal(both[0].files, both[1].files);
        assert.deepEqual(await rowsOf(), rows);
        assert.deepEqual((await verifyResults(out())).problems, []);
        assert.equal((await files("compacted")).length, both[0].files + 1);
        await rm(out(), { recursive: true });
      }
    });

    it("passes over the part of a worker that comes too late, and removes it when it is repeated", async () => {
      const storage = openStorage(out());
      await writeComplete(storage, items, { format });
      const rows = await rowsOf();
      await compact(target);
      const { head } = await openResults(out());
      const late = [0, 1, 2, 3].map((i) => ({ ...okRow(i), run_id: head.runId, score: 0.5 }));
      await commitPart(storage, { ...sampleDraft(late, head.identity), head });
      assert.deepEqual(await rowsOf(), rows);
      assert.deepEqual((await verifyResults(out())).problems, []);
      assert.equal((await compact(target)).removed, 1);
    });

    it("finds a compacted file that is cut off", async () => {
      await writeComplete(openStorage(out()), items, { format });
      await compact(target);
      const [name = ""] = (await files("compacted")).filter((each) => each !== "index.json");
      await truncate(join(out(), "compacted", name), 500);
      await assert.rejects(compact(target), { code: "RUN_DATASET_CORRUPT", message: /it has 500 bytes/ });
      assert.ok((await verifyResults(out())).problems.length > 0);
    });
  });
}

describe("results/compact", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();

  it("keeps the schema of the parts", async () => {
    const storage = openStorage(tempDir());
    await writeComplete(storage, items, { embedding: "float16" });
    const schemaOf = async (path: string) => {
      const bytes = await readFile(join(tempDir(), path));
      return parquetSchema(parquetMetadata(Uint8Array.from(bytes).buffer));
    };
    const before = JSON.stringify(await schemaOf("parts/part-00000000.parquet"), (_, v) => `${v}`.length && v);
    await compactResults(tempDir(), { targetBytes: 2 ** 20 });
    const after = await schemaOf("compacted/rows-00000000-00000011.parquet");
    assert.equal(
      JSON.stringify(after, (_, v) => `${v}`.length && v).replaceAll(/"count":\d+/g, ""),
      before.replaceAll(/"count":\d+/g, ""),
    );
  });

  it("refuses a run that goes on, one with a part missing, and does nothing where parts are large enough", async () => {
    await writeRows(join(tempDir(), "open"), [okRow(0)]);
    const refused = { code: "RESULTS_INCOMPLETE", exitCode: 2, message: /only a complete dataset/ };
    await assert.rejects(compactResults(join(tempDir(), "open"), few), refused);
    const out = join(tempDir(), "out");
    await writeComplete(openStorage(out), items);
    const same = await compactResults(out, { targetBytes: 1 });
    assert.deepEqual([same.wasCompact, same.files, same.removed], [true, chunks, 0]);
    await rm(join(out, "parts/part-00000003.parquet"));
    await assert.rejects(compactResults(out, few), { code: "RUN_DATASET_CORRUPT", message: /00000003.*is not there/ });
    assert.equal((await readdir(join(out, "parts"))).length, chunks - 1);
  });

  it("believes no index that names other files", async () => {
    await writeComplete(openStorage(tempDir()), items);
    await compactResults(tempDir(), few);
    const path = join(tempDir(), "compacted/index.json");
    const index = JSON.parse(await readFile(path, "utf8"));
    for (const wrong of ["run.json", "../x.parquet", "compacted/rows-00000000-00000099.parquet"]) {
      await writeFile(path, JSON.stringify({ ...index, files: [{ ...index.files[0], path: wrong }] }));
      await assert.rejects(openResults(tempDir()), {
        code: "RUN_DATASET_CORRUPT",
        message: /expected compacted\/rows/,
      });
    }
  });

  describe("in an object store", () => {
    let store: TestStore;
    beforeEach(async () => {
      store = await startTestStore();
    });
    afterEach(() => store.close());

    it("is safe to kill at every request that writes, and to repeat", async () => {
      const few = 14;
      const settings = testStoreSettings(store);
      const env = { ...testCredentialEnv, AWS_ENDPOINT_URL: store.url };
      // The file, its index, four parts.
      for (let round = 0; round < 6; round += 1) {
        await store.put(`data${round}`, {});
        const out = `s3://data${round}/out`;
        await writeComplete(openStorage(out, settings), few);
        const read = async () => collect((await openResults(out, { store: settings })).rows<keyof Row>());
        const rows = await read();
        const command = startCli(["results", "compact", out], { env });
        let writes = 0;
        store.answer = ({ method }) => {
          if (method === "PUT" || method === "DELETE") writes += 1;
          if (writes <= round) return false;
          command.process.kill("SIGKILL");
          return true;
        };
        assert.equal((await command.result).code, null);
        store.answer = () => false;
        assert.deepEqual(await read(), rows, `killed at write ${round}`);
        assert.deepEqual((await verifyResults(out, { store: settings })).problems, []);
        const made = await compactResults(out, { store: settings, targetBytes: 2 ** 20 });
        assert.equal(made.files, 1);
        assert.deepEqual(await read(), rows);
        assert.deepEqual((await verifyResults(out, { store: settings })).problems, []);
        const keys = [...(await store.objects(`data${round}`)).keys()].filter((key) => /parts|compacted/.test(key));
        assert.deepEqual(keys, ["out/compacted/index.json", "out/compacted/rows-00000000-00000003.parquet"]);
      }
    });
  });

  it("says on the command line what it did", async () => {
    await writeComplete(openStorage(tempDir()), items);
    const done = await runCli(["results", "compact", tempDir()]);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /46 rows of 12 chunks in 1 files of .* MiB; removed 12 parts/);
    const again = await runCli(["results", "compact", tempDir(), "--json"]);
    assert.deepEqual(JSON.parse(again.stdout).wasCompact, true);
  });
});
