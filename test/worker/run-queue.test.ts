import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { requeueLostChunks } from "../../src/producer/enqueue.js";
import { queueName, runPrefix } from "../../src/shared/job.js";
import { silentLog } from "../../src/shared/log.js";
import { openRunQueue, type RunQueue, type TakenChunk } from "../../src/worker/run-queue.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { keepLog, submitRun, type TestRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

describe("worker/run-queue", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());
  let queue: RunQueue;
  let run: TestRun;
  let runId: string;
  const open = (workerId: string) =>
    openRunQueue({ redis: server.redis, runId, workerId, lockMs: 1_000, log: silentLog });
  beforeEach(async () => {
    run = await submitRun(server.redis, tempDir(), { count: 8 });
    runId = run.head.runId;
    queue = await open("a");
  });
  afterEach(() => queue.close());

  const take = async (from: RunQueue): Promise<TakenChunk> => {
    const taken = await from.take();
    assert.ok(taken);
    return taken;
  };
  const key = (name: string) => `${runPrefix(runId)}:${queueName}:${name}`;

  it("hands out chunks in order, each once, and null where none waits", async () => {
    const other = await open("b");
    const taken = [await take(queue), await take(other)];
    assert.deepEqual(
      taken.map(({ jobId, attempt }) => [jobId, attempt]),
      [
        ["chunk-0", 1],
        ["chunk-1", 1],
      ],
    );
    assert.equal(await queue.take(), null);
    assert.deepEqual(await Promise.all(taken.map((chunk) => chunk.renewLock())), [true, true]);
    assert.deepEqual(await Promise.all(taken.map((chunk) => chunk.acknowledge())), [true, true]);
    assert.equal(await server.redis.exists(key("chunk-0"), key("chunk-1")), 0);
    await other.close();
  });

  it("gives a chunk back for the next taker, who sees that it was taken before", async () => {
    await (await take(queue)).giveBack();
    const again = await take(queue);
    assert.deepEqual([again.jobId, again.attempt], ["chunk-0", 2]);
  });

  it("tells that the lock is lost, and leaves the chunk to its next owner", async () => {
    const loser = await take(queue);
    await server.redis.del(key("chunk-0:lock"));
    assert.equal(await loser.renewLock(), false);
    assert.equal(await loser.acknowledge(), false);
    await server.redis.set(key("chunk-0:lock"), "another");
    assert.equal(await loser.acknowledge(), false);
    assert.equal(await server.redis.exists(key("chunk-0")), 1);
    await server.redis.del(key("chunk-0"), key("chunk-0:lock"));
    assert.equal(await loser.acknowledge(), false);
  });

  it("finds the chunks of a worker that fell silent", async () => {
    const silent = await open("silent");
    const { jobId } = await take(silent);
    await silent.close();
    const watcher = await open("watcher");
    assert.equal(await (await take(watcher)).acknowledge(), true);
    let found = null;
    while (found === null) {
      await sleep(50);
      found = await watcher.take();
    }
    assert.equal(found.jobId, jobId);
    await watcher.close();
  });

  it("sweeps a job whose data is not JSON, without a hot loop; its chunk can be queued again", async () => {
    await server.redis.hset(key("chunk-0"), "data", "{not json");
    const { lines, log } = keepLog();
    const strict = await openRunQueue({ redis: server.redis, runId, workerId: "s", lockMs: 1_000, log });
    assert.equal(await strict.take(), null);
    assert.deepEqual(lines, ["removed a job that cannot be read"]);
    assert.equal(await server.redis.exists(key("chunk-0"), key("chunk-0:lock")), 0);
    await (await take(strict)).acknowledge();
    assert.equal(await requeueLostChunks({ ...run, redis: server.redis }), 2);
    assert.equal((await take(strict)).jobId, "chunk-0");
    await strict.close();
  });
});
