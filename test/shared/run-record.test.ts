import assert from "node:assert/strict";
import { controlRun } from "../../src/shared/run-control.js";
import { leaveActiveRuns, listActiveRuns, listKnownRuns } from "../../src/shared/run-index.js";
import {
  type ChunkCount,
  commitChunk,
  completeRun,
  countedChunks,
  createRun,
  growRun,
  readRun,
  requireRun,
  sealRun,
} from "../../src/shared/run-record.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { testPolicy } from "../support/run-harness.js";

const part = (chunk: number, over: Partial<ChunkCount> = {}): ChunkCount => ({
  chunk,
  ok: 7,
  failed: 1,
  failuresByCode: { DECODE_CORRUPT: 1 },
  duplicates: 3,
  busy: { fetchMs: 1, decodeMs: 2, inferMs: 3, workMs: 4 },
  engine: { name: "onnx/cpu", why: "the fastest CPU engine here" },
  ...over,
});

describe("shared/run-record", () => {
  let server: TestRedis;
  let number = 0;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  async function newRun(chunks: number) {
    number += 1;
    const run = { runId: `r${number}`, epoch: `e${number}` };
    await createRun(server.redis, { ...run, out: "/out", schemaVersion: 1, ...testPolicy });
    await growRun(server.redis, run, { segment: 0, chunks, items: chunks * 8 });
    return run;
  }
  const stateOf = async (runId: string) => (await readRun(server.redis, runId))?.state;

  it("moves from enqueuing through running and finalizing to completed", async () => {
    const run = await newRun(2);
    assert.equal(await stateOf(run.runId), "enqueuing");
    await commitChunk(server.redis, run, part(0));
    await sealRun(server.redis, run);
    assert.equal(await stateOf(run.runId), "running");
    await commitChunk(server.redis, run, part(1));
    assert.equal(await stateOf(run.runId), "finalizing");
    await completeRun(server.redis, run);
    assert.equal(await stateOf(run.runId), "completed");
    assert.ok(!(await listActiveRuns(server.redis)).includes(run.runId));
  });

  it("finalizes at the seal where every chunk is counted already", async () => {
    const run = await newRun(1);
    await commitChunk(server.redis, run, part(0));
    await sealRun(server.redis, run);
    assert.equal(await stateOf(run.runId), "finalizing");
  });

  it("counts a chunk once, however often and however concurrently it is committed", async () => {
    const run = await newRun(3);
    const won = await Promise.all(Array.from({ length: 20 }, () => commitChunk(server.redis, run, part(1))));
    assert.equal(won.filter(Boolean).length, 1);
    const record = await requireRun(server.redis, run);
    const { doneChunks, ok, failed, made, duplicates } = record;
    assert.deepEqual(
      { doneChunks, ok, failed, made, duplicates },
      { doneChunks: 1, ok: 7, failed: 1, made: 8, duplicates: 3 },
    );
    assert.deepEqual(record.failuresByCode, { DECODE_CORRUPT: 1 });
    assert.deepEqual(await countedChunks(server.redis, run.runId, [0, 1, 2]), [false, true, false]);
  });

  it("does not count a found part as made, nor name an engine for it", async () => {
    const run = await newRun(1);
    await commitChunk(server.redis, run, part(0, { engine: null }));
    const { ok, made, engines, duplicates, failuresByCode, busy } = await requireRun(server.redis, run);
    assert.deepEqual({ ok, made, engines, duplicates }, { ok: 7, made: 0, engines: [], duplicates: 3 });
    assert.deepEqual([failuresByCode, busy], [{ DECODE_CORRUPT: 1 }, part(0).busy]);
  });

  it("grows by a segment once, and never back", async () => {
    const run = await newRun(1);
    await growRun(server.redis, run, { segment: 1, chunks: 3, items: 24 });
    await growRun(server.redis, run, { segment: 0, chunks: 1, items: 8 });
    const { segments, chunks, items } = await requireRun(server.redis, run);
    assert.deepEqual([segments, chunks, items], [2, 3, 24]);
  });

  it("stays listed as under way where it is submitted again while somebody takes it off the list", async () => {
    const { redis } = server;
    const run = await newRun(1);
    const isActive = async () => (await listActiveRuns(redis)).includes(run.runId);
    await leaveActiveRuns(redis, run.runId, testPolicy.keepMs);
    assert.equal(await isActive(), true);
    await controlRun(redis, run, "cancel");
    assert.equal(await isActive(), false);
    assert.ok((await listKnownRuns(redis)).includes(run.runId));
  });

  it("stops with a resumable error where the record is gone or of another epoch", async () => {
    const run = await newRun(1);
    const other = { ...run, epoch: "another" };
    const lost = { code: "RUN_RECORD_LOST", retryable: true };
    await assert.rejects(commitChunk(server.redis, other, part(0)), lost);
    await assert.rejects(createRun(server.redis, { ...other, out: "/out", schemaVersion: 1, ...testPolicy }), lost);
    await server.redis.flushall();
    await assert.rejects(commitChunk(server.redis, run, part(0)), lost);
    await assert.rejects(sealRun(server.redis, run), lost);
    await assert.rejects(requireRun(server.redis, run), lost);
    assert.equal(await server.redis.dbsize(), 0, "nothing may be written for a lost run");
  });
});
