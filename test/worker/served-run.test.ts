import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readSegment } from "../../src/dataset/items.js";
import { readPartCounts, readPartRows } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { chunkJobId, queueName, runPrefix } from "../../src/shared/job.js";
import { commitChunk, countedChunks, readRun, requireRun } from "../../src/shared/run-record.js";
import { succeeded } from "../../src/worker/outcome.js";
import { openRunDataset, openServedRun } from "../../src/worker/served-run.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { somePrediction, submitRun, type TestRun, testWorkerContext } from "../support/run-harness.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const outlast = <T>(action: () => Promise<T>) => action();
const turn = { order: 1, attempt: 1, signal: new AbortController().signal, outlast };
const counts = {
  ok: 4,
  failed: 0,
  failuresByCode: {},
  duplicates: 0,
  busy: { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 },
  engine: { name: "other", why: "a test" },
};

describe("worker/served-run", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  /** Serves chunk 0 of `run` as one worker would; says how many items it predicted. */
  async function serve(run: TestRun, { predict = async () => {}, storage = run.storage, attempt = 1 } = {}) {
    let predicted = 0;
    const context = testWorkerContext(server.redis, {
      predict: async () => {
        predicted += 1;
        await predict();
        return succeeded(somePrediction);
      },
    });
    const served = await openServedRun({ head: run.head, storage }, context, { priority: () => 0, leave: () => false });
    try {
      await served.serve(await refOf(run), { ...turn, attempt });
      return predicted;
    } finally {
      await served.close();
    }
  }
  const refOf = async ({ head, storage }: TestRun) => {
    const sha256 = (await readSegment(storage, 0))?.sha256 ?? "";
    return { v: 1, run: head.runId, chunk: 0, segment: 0, sha256 } as const;
  };
  const isCounted = async ({ head }: TestRun) => (await countedChunks(server.redis, head.runId, [0]))[0];
  const partOf = ({ storage }: TestRun) => join(storage.location, "parts/part-00000000.parquet");
  const rowsOf = ({ storage }: TestRun) => collect(readPartRows<keyof Row>(storage, "parts/part-00000000.parquet"));

  it("commits the part, counts it, and leaves the acknowledgement to the consumer", async () => {
    const run = await submitRun(server.redis, tempDir());
    assert.equal(await serve(run), 4);
    assert.equal((await readPartCounts(run.storage, 0, "parquet"))?.ok, 4);
    const { ok, made, engines } = await requireRun(server.redis, run.head);
    assert.deepEqual({ ok, made, engines }, { ok: 4, made: 4, engines: ["test/none"] });
    const job = `${runPrefix(run.head.runId)}:${queueName}:${chunkJobId(0)}`;
    assert.equal(await server.redis.exists(job), 1);
  });

  it("counts nothing where the part cannot be committed", async () => {
    const run = await submitRun(server.redis, tempDir());
    const createOnce = async () => Promise.reject(new Error("disk full"));
    await assert.rejects(serve(run, { storage: { ...run.storage, createOnce } }), /disk full/);
    assert.equal(await isCounted(run), false);
  });

  it("has committed the part before it counts: where the record is gone by then, the part is there", async () => {
    const run = await submitRun(server.redis, tempDir());
    const predict = async () => void (await server.redis.flushall());
    await assert.rejects(serve(run, { predict }), { code: "RUN_RECORD_LOST" });
    assert.ok(await stat(partOf(run)));
    assert.equal(await readRun(server.redis, run.head.runId), null);
  });

  it("does not run a chunk that is counted", async () => {
    const run = await submitRun(server.redis, tempDir());
    await commitChunk(server.redis, run.head, { chunk: 0, ...counts });
    assert.equal(await serve(run), 0);
    await assert.rejects(stat(partOf(run)));
  });

  it("counts a part that it finds as found, unrun and untouched", async () => {
    const run = await submitRun(server.redis, tempDir());
    await serve(run);
    await server.redis.del(`${runPrefix(run.head.runId)}:done`);
    const { mtimeMs } = await stat(partOf(run));
    assert.equal(await serve(run), 0);
    assert.equal((await stat(partOf(run))).mtimeMs, mtimeMs);
    const { doneChunks, made } = await requireRun(server.redis, run.head);
    assert.deepEqual({ doneChunks, made }, { doneChunks: 2, made: 4 });
  });

  it("makes the same rows whichever worker makes them, at whichever attempt and time", async () => {
    const first = await submitRun(server.redis, join(tempDir(), "a"));
    const second = await submitRun(server.redis, join(tempDir(), "b"));
    await serve(first);
    await serve(second, { attempt: 3 });
    const withoutRun = async (run: TestRun) => (await rowsOf(run)).map((row) => ({ ...row, run_id: "" }));
    assert.deepEqual(await withoutRun(first), await withoutRun(second));
  });

  it("writes the summary after the last chunk", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 4 });
    await serve(run);
    assert.equal((await requireRun(server.redis, run.head)).state, "completed");
    assert.ok(await stat(join(tempDir(), "summary.json")));
  });

  it("opens no dataset but the record's own", async () => {
    const run = await submitRun(server.redis, tempDir());
    const record = await requireRun(server.redis, run.head);
    assert.equal((await openRunDataset(record, openStorage)).head.runId, run.head.runId);
    await assert.rejects(openRunDataset({ ...record, epoch: "another" }, openStorage), { code: "RUN_REPLACED" });
    await assert.rejects(openRunDataset({ ...record, runId: "another" }, openStorage), { code: "RUN_REPLACED" });
  });
});
