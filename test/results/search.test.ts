import assert from "node:assert/strict";
import type { Row } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { findNearest } from "../../src/results/nearest.js";
import { openResults } from "../../src/results/open.js";
import { queryOf, searchLabel, searchNearest } from "../../src/results/search.js";
import { failedRow, inDirectory, okRow } from "../dataset/samples.js";
import { startCli } from "../support/cli.js";
import { testStoreSettings } from "../support/s3/settings.js";
import { startTestStore, type TestStore, testCredentialEnv } from "../support/s3/store.js";
import { writeDataset, writeRows } from "./samples.js";

/** Unit vectors round a circle, so that the nearest rows are the neighbours in number; every seventh row failed. */
function circleRow(index: number, of: number): Row {
  if (index % 7 === 6) return failedRow(index);
  const angle = (index / of) * Math.PI;
  return { ...okRow(index), embedding: Float32Array.of(Math.cos(angle), Math.sin(angle), 0) };
}

for (const format of ["parquet", "jsonl"] as const) {
  describe(`results/search (${format})`, () => {
    it("finds the nearest rows, nearest first, without the row itself and without failed rows", () =>
      inDirectory(async (directory) => {
        await writeRows(
          directory,
          Array.from({ length: 12 }, (_, i) => circleRow(i, 12)),
          { format },
        );
        const results = await openResults(directory);
        const hits = await searchNearest(results, await queryOf(results, { index: 5 }), 3);
        assert.deepEqual(
          hits.map(({ item_index }) => item_index),
          [4, 3, 7],
        );
        assert.ok(Math.abs((hits[0]?.cosine ?? 0) - Math.cos(Math.PI / 12)) < 1e-7);
        assert.deepEqual([hits[0]?.uri, hits[0]?.label_index], ["/photos/4.jpg", 281]);
      }));

    it("finds the surest rows of a label by name and by index", () =>
      inDirectory(async (directory) => {
        await writeDataset(directory, format);
        const results = await openResults(directory);
        const indices = async (label: string, top: number) =>
          (await searchLabel(results, label, top)).map(({ item_index }) => item_index);
        assert.deepEqual(await indices("tabby", 5), [4, 0]);
        assert.deepEqual(await indices("281", 1), [4]);
        assert.deepEqual(await indices("tench", 5), [1, 3]);
      }));
  });
}

describe("results/search", () => {
  it("finds the same in several threads as in one, equal rows by their index", () =>
    inDirectory(async (directory) => {
      const rows = Array.from({ length: 200 }, (_, i) => ({ ...circleRow(Math.min(i, 199 - i), 100), item_index: i }));
      await writeRows(directory, rows);
      const results = await openResults(directory);
      const query = await queryOf(results, { index: 50 });
      const threaded = await searchNearest(results, query, 20);
      const { files, head } = results;
      const searched = { files, chunkSize: head.identity.chunkSize };
      const wanted = { embedding: query.embedding, top: 20, except: 50 };
      const alone = await findNearest(results.storage, searched, wanted);
      assert.equal(results.files.length, 50);
      assert.deepEqual(
        threaded.map(({ item_index, cosine }) => ({ itemIndex: item_index, cosine })),
        alone,
      );
      assert.equal(alone[0]?.itemIndex, 149);
    }));

  it("passes over an embedding of zeros, which has no direction", () =>
    inDirectory(async (directory) => {
      await writeRows(directory, [okRow(0), { ...okRow(1), embedding: new Float32Array(3) }, okRow(2)]);
      const results = await openResults(directory);
      const hits = await searchNearest(results, await queryOf(results, { index: 0 }), 5);
      assert.deepEqual(
        hits.map(({ item_index }) => item_index),
        [2],
      );
    }));

  it("takes the first row with an id", () =>
    inDirectory(async (directory) => {
      await writeRows(directory, [okRow(0), { ...okRow(1), item_id: "cat" }, { ...okRow(2), item_id: "cat" }]);
      const results = await openResults(directory);
      assert.equal((await queryOf(results, { id: "cat" })).itemIndex, 1);
      await assert.rejects(queryOf(results, { id: "dog" }), { code: "RESULTS_NOT_FOUND", message: /item_id dog/ });
    }));

  it("says why a row cannot be searched for, and what a label may have meant", () =>
    inDirectory(async (directory) => {
      await writeDataset(directory, "parquet");
      const results = await openResults(directory);
      const failed = { code: "RESULTS_NO_EMBEDDING", message: /item_index 2 .*DECODE_CORRUPT/ };
      await assert.rejects(queryOf(results, { index: 2 }), failed);
      await assert.rejects(queryOf(results, { index: 99 }), { code: "RESULTS_NOT_FOUND" });
      await assert.rejects(searchLabel(results, "Tabbi", 1), { code: "RESULTS_NOT_FOUND", message: /near: tabby$/ });
    }));

  it("refuses a dataset without embeddings", () =>
    inDirectory(async (directory) => {
      await writeRows(directory, [okRow(0)], { embedding: "none" });
      await assert.rejects(queryOf(await openResults(directory), { index: 0 }), {
        code: "RESULTS_NO_EMBEDDING",
        message: /--embedding none/,
      });
    }));
});

describe("results/search in an object store", function () {
  this.timeout(60_000);
  let store: TestStore;
  beforeEach(async () => {
    store = await startTestStore();
    await store.put("data", {});
  });
  afterEach(() => store.close());

  it("finds the same in threads, which reach the store by themselves", async () => {
    const out = "s3://data/out";
    const settings = testStoreSettings(store);
    const rows = Array.from({ length: 140 }, (_, i) => circleRow(i, 140));
    await writeRows(openStorage(out, settings), rows);
    const results = await openResults(out, { store: settings });
    assert.equal(results.files.length, 35);
    const hits = await searchNearest(results, await queryOf(results, { index: 50 }), 4);
    assert.deepEqual(hits.map(({ item_index }) => item_index).sort(), [47, 49, 51, 52]);
    const stop = new AbortController();
    const stoppable = await openResults(out, { store: settings, signal: stop.signal });
    const query = await queryOf(stoppable, { index: 50 });
    stop.abort(new Error("enough"));
    await assert.rejects(searchNearest(stoppable, query, 4), /enough/);
  });

  it("ends at the first Ctrl-C, whatever it is waiting for", async () => {
    const out = "s3://data/out";
    await writeRows(openStorage(out, testStoreSettings(store)), [okRow(0), okRow(1)]);
    const env = { ...testCredentialEnv, AWS_ENDPOINT_URL: store.url };
    for (const command of ["search", "stats"]) {
      // Never answered.
      const asked = new Promise<void>((resolve) => {
        store.answer = ({ path }) => {
          if (path.includes("part-")) resolve();
          return path.includes("part-");
        };
      });
      const flags = command === "search" ? ["--index", "0"] : [];
      const running = startCli(["results", command, out, ...flags], { env });
      await asked;
      running.process.kill("SIGINT");
      const { code, stderr } = await running.result;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /\[RUN_INTERRUPTED\]/);
    }
  });
});
