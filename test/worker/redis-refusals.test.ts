/** What workers and producers do while Redis answers and refuses: a real server at its limit, or in a script without end. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { enqueueRun, registerRun, requeueLostChunks } from "../../src/producer/enqueue.js";
import { createOutages } from "../../src/shared/outages.js";
import { openRedis, type Redis } from "../../src/shared/redis.js";
import { readRun } from "../../src/shared/run-record.js";
import { succeeded } from "../../src/worker/outcome.js";
import { sampleIdentity } from "../dataset/samples.js";
import { assertOnceEach, gatedPredict } from "../support/outages.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  assertSound,
  completed,
  keepLog,
  numberedSource,
  somePrediction,
  startTestConsumer,
  submitRun,
  type TestRun,
  testOutages,
  testPolicy,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

const never = () => new AbortController().signal;

describe("worker/redis-refusals", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(async () => {
    await raiseLimit();
    await server.close();
  });

  const reachLimit = () => server.redis.config("SET", "maxmemory", "1kb");
  const raiseLimit = () => server.redis.config("SET", "maxmemory", "0");
  const chunksOf = async ({ head }: Pick<TestRun, "head">) => server.queueOf(head.runId).getJobCounts("wait", "active");

  describe("redis at its memory limit", () => {
    it("takes nothing, asks seldom, and does every item once there is room", async () => {
      const run = await submitRun(server.redis, tempDir(), { count: 24 });
      await reachLimit();
      const gate = gatedPredict();
      gate.open();
      const consumer = startTestConsumer(server.redis, { predict: gate.predict });
      const perSecond = await commandsPerSecond(server.redis, 3_000);
      assert.ok(perSecond < 40, `${perSecond} commands a second`);
      assert.equal(gate.seen.length, 0);
      assert.deepEqual(await chunksOf(run), { wait: 6, active: 0 });
      await raiseLimit();
      await completed(run);
      await consumer.drain(1_000);
      assertOnceEach(gate.seen, 24);
      await assertSound(run, 24);
    });

    it("keeps what it has in hand, asks seldom, and counts it once there is room", async () => {
      const run = await submitRun(server.redis, tempDir(), { count: 24 });
      const gate = gatedPredict();
      const consumer = startTestConsumer(server.redis, { predict: gate.predict });
      while (gate.seen.length < 8) await sleep(10);
      await reachLimit();
      gate.open();
      const perSecond = await commandsPerSecond(server.redis, 3_000);
      assert.ok(perSecond < 40, `${perSecond} commands a second`);
      assert.deepEqual(await chunksOf(run), { wait: 4, active: 2 });
      assert.equal((await readRun(server.redis, run.head.runId))?.doneChunks, 0);
      await raiseLimit();
      await completed(run);
      await consumer.drain(1_000);
      assertOnceEach(gate.seen, 24);
      await assertSound(run, 24);
    });

    it("does no row again where the limit lasts longer than the locks", async () => {
      const run = await submitRun(server.redis, tempDir());
      const gate = gatedPredict();
      const consumer = startTestConsumer(server.redis, { predict: gate.predict, lockMs: 1_500 });
      while (gate.seen.length < 8) await sleep(10);
      await reachLimit();
      gate.open();
      await sleep(4_000);
      await raiseLimit();
      await completed(run);
      await consumer.drain(1_000);
      assertOnceEach(gate.seen, 12);
      await assertSound(run, 12);
      assert.deepEqual(await chunksOf(run), { wait: 0, active: 0 });
    });

    it("opens no connection after another where the run is found at the limit", async () => {
      const run = await submitRun(server.redis, tempDir());
      await reachLimit();
      const { lines, log } = keepLog();
      const outages = createOutages({ storageTimeoutMs: 0, log });
      const consumer = startTestConsumer(server.redis, { outages });
      while (!lines.some((line) => /waiting/.test(line))) await sleep(10);
      const before = await connections(server.redis);
      await sleep(2_200);
      assert.equal(await connections(server.redis), before);
      await raiseLimit();
      await completed(run);
      await consumer.drain(1_000);
    });

    it("makes a producer wait, which then pins and queues everything", async () => {
      const storage = openStorage(tempDir());
      const { head } = await createRunHead(storage, { ...sampleIdentity, sources: ["/i"], chunkSize: 4 });
      const run = { head, storage, redis: server.redis };
      await registerRun({ ...run, policy: testPolicy });
      await reachLimit();
      let isDone = false;
      const enqueuing = enqueueRun({ ...run, source: numberedSource(100), outages: testOutages, signal: never() });
      enqueuing.finally(() => (isDone = true)).catch(() => {});
      await sleep(600);
      assert.equal(isDone, false);
      await raiseLimit();
      const { items, chunks } = await enqueuing;
      assert.deepEqual({ items, chunks }, { items: 100, chunks: 25 });
      assert.deepEqual(await chunksOf(run), { wait: 25, active: 0 });
      assert.equal((await readRun(server.redis, head.runId))?.state, "running");
    });

    it("makes a producer wait that has only jobs to add", async () => {
      const run = await submitRun(server.redis, tempDir(), { count: 100 });
      await server.queueOf(run.head.runId).drain();
      const context = { ...run, redis: server.redis };
      await reachLimit();
      const queued = testOutages.outlast(() => requeueLostChunks(context), never());
      const enqueued = enqueueRun({ ...context, outages: testOutages, signal: never() });
      await sleep(300);
      assert.deepEqual(await chunksOf(run), { wait: 0, active: 0 });
      await raiseLimit();
      assert.equal((await enqueued).chunks, 25);
      await queued;
      assert.deepEqual(await chunksOf(run), { wait: 25, active: 0 });
    });

    it("lets a producer go where it is interrupted", async () => {
      const run = await submitRun(server.redis, tempDir(), { count: 100 });
      await server.queueOf(run.head.runId).drain();
      await reachLimit();
      const stop = new AbortController();
      const reason = new Error("stopped");
      const enqueuing = enqueueRun({ ...run, redis: server.redis, outages: testOutages, signal: stop.signal });
      await sleep(200);
      stop.abort(reason);
      await assert.rejects(enqueuing, (error) => error === reason);
    });

    it("gives back in the time to drain what waits for it", async () => {
      const run = await submitRun(server.redis, tempDir());
      const gate = gatedPredict();
      const consumer = startTestConsumer(server.redis, { predict: gate.predict, lockMs: 60_000 });
      while (gate.seen.length < 8) await sleep(10);
      await reachLimit();
      gate.open();
      await partsOf(run, [0, 1]);
      await sleep(200);
      await consumer.drain(200);
      await raiseLimit();
      assert.deepEqual(await chunksOf(run), { wait: 3, active: 0 });
      const other = startTestConsumer(server.redis, { predict: gate.predict });
      await completed(run);
      await other.drain(1_000);
      assertOnceEach(gate.seen, 12);
      await assertSound(run, 12);
    });
  });

  describe("redis kept busy by a foreign script", () => {
    let foreign: Redis;
    let looker: Redis;
    let isBusy = false;
    beforeEach(async () => {
      foreign = await openRedis(server.url);
      looker = await openRedis(server.url);
      await server.redis.config("SET", "busy-reply-threshold", "20");
    });
    afterEach(async () => {
      while (isBusy) await sleep(10);
      foreign.disconnect();
      looker.disconnect();
    });

    const answers = () =>
      looker.ping().then(
        () => true,
        () => false,
      );
    /** Resolves when Redis refuses everything, which it does for `ms`. */
    const keepBusy = async (ms: number) => {
      isBusy = true;
      foreign.eval("while true do end", 0).catch(() => {
        isBusy = false;
      });
      while (await answers()) await sleep(5);
      void sleep(ms).then(() => looker.script("KILL"));
    };

    it("is waited for with a chunk that was just taken", async () => {
      const run = await submitRun(server.redis, tempDir());
      let takes = 0;
      const consumer = startTestConsumer(server.redis, {
        predict: async () => sleep(100, succeeded(somePrediction)),
        wrapQueue: (queue) => ({
          ...queue,
          take: async () => {
            const taken = await queue.take();
            if (taken === null) return null;
            takes += 1;
            if (takes === 3) await keepBusy(300);
            return taken;
          },
        }),
      });
      await Promise.race([completed(run), consumer.ended]);
      await consumer.drain(1_000);
      await assertSound(run, 12);
    });

    it("is waited for where it begins while a run's queue is opened", async () => {
      const run = await submitRun(server.redis, tempDir());
      const consumer = startTestConsumer(server.redis, {
        wrapQueue: (queue) => {
          if (!isBusy) void keepBusy(300);
          return queue;
        },
      });
      await Promise.race([completed(run), consumer.ended]);
      await consumer.drain(1_000);
      await assertSound(run, 12);
    });

    it("is waited for by a producer that begins in it", async () => {
      const storage = openStorage(tempDir());
      const { head } = await createRunHead(storage, { ...sampleIdentity, sources: ["/i"], chunkSize: 4 });
      const run = { head, storage, redis: server.redis };
      await registerRun({ ...run, policy: testPolicy });
      await keepBusy(300);
      const { chunks } = await enqueueRun({
        ...run,
        source: numberedSource(100),
        outages: testOutages,
        signal: never(),
      });
      assert.equal(chunks, 25);
      assert.deepEqual(await chunksOf(run), { wait: 25, active: 0 });
    });
  });
});

/** What Redis is asked in a second on average, over `ms`. */
async function commandsPerSecond(redis: Redis, ms: number): Promise<number> {
  const total = async () => Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
  const before = await total();
  await sleep(ms);
  return ((await total()) - before) / (ms / 1_000);
}

async function connections(redis: Redis): Promise<number> {
  return Number(/connected_clients:(\d+)/.exec(await redis.info("clients"))?.[1]);
}

/** Resolves when the parts of `chunks` are committed. */
async function partsOf({ storage }: Pick<TestRun, "storage">, chunks: readonly number[]): Promise<void> {
  for (const chunk of chunks)
    while ((await storage.size(`parts/part-0000000${chunk}.parquet`)) === null) await sleep(10);
}
