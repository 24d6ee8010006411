import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { queueFigures } from "../../src/library/queue-figures.js";
import { countAllQueued, countQueued } from "../../src/producer/chunk-queue.js";
import { silentLog } from "../../src/shared/log.js";
import type { Sample } from "../../src/shared/metrics.js";
import { controlRun } from "../../src/shared/run-control.js";
import { openRunQueue } from "../../src/worker/run-queue.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { submitRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

const figureOf = (samples: readonly Sample[], name: string, labels: Record<string, string> = {}) =>
  samples.find((sample) => {
    return sample.name === name && Object.entries(labels).every(([key, of]) => sample.labels?.[key] === of);
  })?.value;

describe("library/queue-figures", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(() => server.close());

  it("counts chunks that wait and that are in hand, of runs that are not paused", async () => {
    const { redis } = server;
    const a = await submitRun(redis, join(tempDir(), "a"), { count: 12, chunkSize: 4 });
    const b = await submitRun(redis, join(tempDir(), "b"), { count: 10, chunkSize: 1 });
    const queue = await openRunQueue({ redis, runId: a.head.runId, workerId: "w", lockMs: 60_000, log: silentLog });
    await queue.take();
    const both = await queueFigures(redis, silentLog)();
    assert.equal(figureOf(both, "labelmill_queue_chunks"), 13);
    assert.equal(figureOf(both, "labelmill_runs", { state: "running" }), 2);
    const chunks = (state: string) => figureOf(both, "labelmill_run_chunks", { run: a.head.runId, state });
    assert.deepEqual(["pinned", "waiting", "in_hand", "done"].map(chunks), [3, 2, 1, 0]);
    const asked = [a.head.runId, b.head.runId, "none"];
    assert.deepEqual(await countAllQueued(redis, asked), await Promise.all(asked.map((id) => countQueued(redis, id))));
    await controlRun(redis, b.head, "pause");
    assert.deepEqual(await countAllQueued(redis, [b.head.runId]), [await countQueued(redis, b.head.runId)]);
    const one = await queueFigures(redis, silentLog)();
    assert.equal(figureOf(one, "labelmill_queue_chunks"), 3);
    assert.equal(figureOf(one, "labelmill_run_state", { run: b.head.runId, state: "paused" }), 1);
    await queue.close();
  });

  it("says zero where there is no run, so that workers are scaled to zero and not left as they are", async () => {
    const none = await queueFigures(server.redis, silentLog)();
    assert.equal(figureOf(none, "labelmill_queue_chunks"), 0);
    assert.ok((figureOf(none, "labelmill_redis_memory_bytes") ?? 0) > 100_000);
    assert.equal(figureOf(none, "labelmill_redis_memory_limit_bytes"), 0);
  });

  it("reads Redis once for any number that ask at the same time", async () => {
    await submitRun(server.redis, join(tempDir(), "a"));
    const figures = queueFigures(server.redis, silentLog);
    const before = await commandsOf(server);
    await figures();
    const once = (await commandsOf(server)) - before;
    await Promise.all(Array.from({ length: 20 }, () => figures()));
    assert.ok((await commandsOf(server)) - before - once < 20, "asked again");
  });

  it("says that Redis does not give the figures, and in the log why, once", async () => {
    const said: string[] = [];
    const log = {
      ...silentLog,
      warn: (message: string, fields = {}) => said.push(`${message} ${JSON.stringify(fields)}`),
    };
    await server.redis.set("labelmill:runs", "of another type");
    const figures = queueFigures(server.redis, log);
    assert.deepEqual(await figures(), [{ name: "labelmill_redis_up", value: 0 }]);
    assert.match(said.join(), /no figures of the queue .*WRONGTYPE/);
    await server.redis.del("labelmill:runs");
    while (figureOf(await figures(), "labelmill_redis_up") !== 1) await sleep(100);
    assert.equal(said.length, 1);
  });

  it("says that Redis is away, and waits for nothing", async () => {
    const redis = server.redis.duplicate({ retryStrategy: () => null });
    redis.on("error", () => {});
    await redis.ping();
    const figures = queueFigures(redis, silentLog);
    redis.disconnect();
    assert.deepEqual(await figures(), [{ name: "labelmill_redis_up", value: 0 }]);
  });
});

async function commandsOf({ redis }: TestRedis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
}
