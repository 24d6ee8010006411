import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { requeueLostChunks } from "../../src/producer/enqueue.js";
import { queueName, runPrefix } from "../../src/shared/job.js";
import { readRun } from "../../src/shared/run-record.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { assertSound, completed, keepLog, startTestConsumer, submitRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

describe("worker/hostile-jobs", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  it("refuses jobs that are not the producer's, goes on with the others, and the lost chunks are queued again", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 40 });
    const { head, storage } = run;
    const prefix = runPrefix(head.runId);
    const tamper = async (chunk: number, change: Record<string, unknown>) => {
      const key = `${prefix}:${queueName}:chunk-${chunk}`;
      const data = JSON.parse((await server.redis.hget(key, "data")) ?? "{}");
      await server.redis.hset(key, "data", JSON.stringify({ ...data, ...change }));
    };
    await tamper(0, { v: 9 });
    await tamper(1, { run: "another" });
    await tamper(2, { segment: 77 });
    await tamper(3, { sha256: "0".repeat(64) });
    await tamper(4, { chunk: 9_999 });
    const { lines, log } = keepLog();
    const consumer = startTestConsumer(server.redis, { log });
    while (((await readRun(server.redis, head.runId))?.doneChunks ?? 0) < 5) await sleep(20);
    while ((await requeueLostChunks({ head, storage, redis: server.redis })) === 0) await sleep(20);
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 40);
    assert.equal(lines.filter((line) => /^Refused job/.test(line)).length, 5);
  });

  it("refuses what strangers add to the queue, 50 MB of it as well, and does the run's own jobs", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 40 });
    const { runId } = run.head;
    const queue = server.queueOf(runId);
    const own = (await queue.getJob("chunk-1"))?.data as Record<string, unknown>;
    const strange: unknown[] = [
      null,
      7,
      "text",
      [],
      {},
      { ...own, note: "x" },
      { ...own, chunk: -1 },
      { ...own, chunk: "1; DROP" },
      { ...own, segment: 1e300 },
      { ...own, sha256: "f".repeat(50_000_000) },
      JSON.parse(`${'{"a":'.repeat(1_000)}1${"}".repeat(1_000)}`),
    ];
    await queue.addBulk(
      strange.map((data, i) => ({ name: "chunk", data, opts: { jobId: `stranger-${i}`, lifo: true } })),
    );
    for (const text of ["{", "\u0000", '{"v":1}garbage']) {
      const { id } = await queue.add("chunk", {}, { lifo: true });
      await server.redis.hset(queue.toKey(id ?? ""), "data", text);
    }
    const { lines, log } = keepLog();
    const consumer = startTestConsumer(server.redis, { log });
    await completed(run);
    while ((await queue.getJobCountByTypes("wait", "active")) > 0) await sleep(20);
    await consumer.drain(1_000);
    await assertSound(run, 40);
    assert.equal(lines.filter((line) => /^Refused job/.test(line)).length, strange.length, lines.join("\n"));
    assert.equal(lines.filter((line) => /cannot be read/.test(line)).length, 3, lines.join("\n"));
    assert.ok(
      lines.every((line) => line.length < 1_000),
      "a log line is no place for what a stranger sent",
    );
  });
});
