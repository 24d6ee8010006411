import assert from "node:assert/strict";
import { dropQueue, isQueueEmpty, queueChunks } from "../../src/producer/chunk-queue.js";
import { parseChunkRef } from "../../src/shared/job.js";
import { silentLog } from "../../src/shared/log.js";
import { controlRun } from "../../src/shared/run-control.js";
import { createRun } from "../../src/shared/run-record.js";
import { openRunQueue, type RunQueue } from "../../src/worker/run-queue.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";

const runId = "20260102-0123abcd";
const segment = { segment: 2, sha256: "c".repeat(64) };

describe("producer/chunk-queue", () => {
  let server: TestRedis;
  let consumer: RunQueue;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());
  beforeEach(async () => {
    consumer = await openRunQueue({ redis: server.redis, runId, workerId: "w", lockMs: 10_000, log: silentLog });
  });
  afterEach(async () => {
    await consumer.close();
    await server.redis.flushall();
  });

  it("queues references that a worker accepts, in order", async () => {
    await queueChunks(server.redis, runId, segment, [3, 4]);
    await queueChunks(server.redis, runId, segment, [5]);
    for (const chunk of [3, 4, 5]) {
      const taken = await consumer.take();
      const ref = parseChunkRef(runId, taken?.jobId ?? "", taken?.data);
      assert.deepEqual(ref, { v: 1, run: runId, chunk, ...segment });
    }
  });

  it("queues a chunk once while it waits or is in work, and again once it is off the queue", async () => {
    await queueChunks(server.redis, runId, segment, [3]);
    await queueChunks(server.redis, runId, segment, [3]);
    const taken = await consumer.take();
    await queueChunks(server.redis, runId, segment, [3]);
    assert.equal(await consumer.take(), null);
    await taken?.acknowledge();
    await queueChunks(server.redis, runId, segment, [3]);
    assert.equal((await consumer.take())?.jobId, taken?.jobId);
  });

  it("is empty only while nothing waits and nothing is in work", async () => {
    assert.equal(await isQueueEmpty(server.redis, runId), true);
    await queueChunks(server.redis, runId, segment, [3]);
    assert.equal(await isQueueEmpty(server.redis, runId), false);
    const taken = await consumer.take();
    assert.equal(await isQueueEmpty(server.redis, runId), false);
    await taken?.acknowledge();
    assert.equal(await isQueueEmpty(server.redis, runId), true);
  });

  describe("dropped", () => {
    const run = { runId, epoch: "e", priority: 0, keepMs: 60_000, out: "/out", schemaVersion: 1 };
    const chunks = Array.from({ length: 2_100 }, (_, i) => i);
    const jobKeys = () => server.redis.keys(`{labelmill:${runId}}:chunks:*`);
    beforeEach(async () => {
      await createRun(server.redis, run);
      await queueChunks(server.redis, runId, segment, chunks);
    });

    it("loses its jobs, also those in hand, and every key, once its run has ended", async () => {
      const taken = await consumer.take();
      await controlRun(server.redis, run, "cancel");
      await dropQueue(server.redis, run);
      assert.deepEqual(await jobKeys(), []);
      assert.equal(await taken?.renewLock(), false);
      await dropQueue(server.redis, run);
    });

    it("keeps the jobs of a run that is under way, or was submitted again since it was cancelled", async () => {
      const before = (await jobKeys()).length;
      await dropQueue(server.redis, run);
      assert.equal((await jobKeys()).length, before);
      await controlRun(server.redis, run, "cancel");
      assert.equal(await createRun(server.redis, run), "reopened");
      await dropQueue(server.redis, run);
      assert.equal(await server.queueOf(runId).getWaitingCount(), chunks.length);
    });
  });
});
