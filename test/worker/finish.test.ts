import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readSummary } from "../../src/dataset/summary.js";
import { commitChunk, type RunRecord, readRun, requireRun } from "../../src/shared/run-record.js";
import { finishRun } from "../../src/worker/finish.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { submitRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

describe("worker/finish", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  const count = (chunk: number, over = {}) => ({
    chunk,
    ok: 3,
    failed: 1,
    failuresByCode: { FETCH_NOT_FOUND: 1 },
    duplicates: 2,
    busy: { fetchMs: 5, decodeMs: 30, inferMs: 20, workMs: 40 },
    engine: { name: "onnx/cpu", why: "the fastest CPU engine here" },
    ...over,
  });

  it("writes nothing before the last chunk is counted, then one summary however many callers race", async () => {
    const { head, storage } = await submitRun(server.redis, tempDir(), { count: 8 });
    const finish = async () => finishRun(await requireRun(server.redis, head), { redis: server.redis, head, storage });
    await commitChunk(server.redis, head, count(0));
    assert.equal(await finish(), null);
    assert.equal(await readSummary(storage), null);
    await commitChunk(server.redis, head, count(1));
    const summaries = await Promise.all([finish(), finish(), finish()]);
    assert.deepEqual(summaries[0], summaries[1]);
    assert.deepEqual(summaries[0], await readSummary(storage));
    assert.equal((await readRun(server.redis, head.runId))?.state, "completed");
    const { items, ok, failed, failuresByCode, duplicates, engines, whyEngines } = summaries[0] ?? {};
    assert.deepEqual({ items, ok, failed, duplicates }, { items: 8, ok: 6, failed: 2, duplicates: 4 });
    assert.equal(summaries[0]?.boundBy, "decode");
    assert.deepEqual(summaries[0]?.stageShares, { fetch: 0.13, decode: 0.75, inference: 0.5 });
    assert.deepEqual([failuresByCode, engines], [{ FETCH_NOT_FOUND: 2 }, ["onnx/cpu"]]);
    assert.deepEqual(whyEngines, { "onnx/cpu": "the fastest CPU engine here" });
  });

  it("does not mind another finisher at any moment of its own", async () => {
    for (let round = 0; round < 40; round += 1) {
      const { head, storage } = await submitRun(server.redis, join(tempDir(), `${round}`), { count: 4 });
      await commitChunk(server.redis, head, count(0));
      const finish = async (afterMs: number) => {
        await sleep(afterMs);
        return finishRun(await requireRun(server.redis, head), { redis: server.redis, head, storage });
      };
      const [first, second] = await Promise.all([finish(0), finish(round % 5)]);
      assert.deepEqual(first, second);
      const names = await readdir(storage.location);
      assert.deepEqual(
        names.filter((name) => name.endsWith(".tmp")),
        [],
      );
    }
  });

  it("takes the rate from the rows that were made, not from those that were found", async () => {
    const { head, storage } = await submitRun(server.redis, tempDir(), { count: 8 });
    await commitChunk(
      server.redis,
      head,
      count(0, { engine: null, busy: { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 } }),
    );
    await commitChunk(
      server.redis,
      head,
      count(1, { engine: null, busy: { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 } }),
    );
    const summary = await finishRun(await requireRun(server.redis, head), { redis: server.redis, head, storage });
    assert.deepEqual([summary?.ok, summary?.imagesPerSecond, summary?.boundBy], [6, 0, null]);
  });

  it("divides the rows that were made by the time to the last commit, and names the busiest stage", async () => {
    for (const [busy, boundBy] of [
      [{ fetchMs: 9, decodeMs: 8, inferMs: 7, workMs: 10 }, "fetch"],
      [{ fetchMs: 1, decodeMs: 3, inferMs: 2, workMs: 10 }, "decode"],
      [{ fetchMs: 1, decodeMs: 2, inferMs: 3, workMs: 10 }, "inference"],
    ] as const) {
      const { head, storage } = await submitRun(server.redis, join(tempDir(), boundBy), { count: 8 });
      const record = await requireRun(server.redis, head);
      const watched = { made: 7, createdAtMs: 1_000, committedAtMs: 4_000, busy };
      const done: RunRecord = { ...record, ...watched, state: "finalizing" };
      const summary = await finishRun(done, { redis: server.redis, head, storage });
      assert.deepEqual([summary?.seconds, summary?.imagesPerSecond, summary?.boundBy], [3, 2.33, boundBy]);
    }
  });
});
