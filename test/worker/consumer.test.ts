import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { enqueueRun, registerRun } from "../../src/producer/enqueue.js";
import { LabelmillError } from "../../src/shared/errors.js";
import { readRun } from "../../src/shared/run-record.js";
import { succeeded } from "../../src/worker/outcome.js";
import { gatedPredict } from "../support/outages.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  assertSound,
  completed,
  keepLog,
  somePrediction,
  startTestConsumer,
  submitRun,
  type TestRun,
  testOutages,
  testPolicy,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

const execute = promisify(execFile);

describe("worker/consumer", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(async () => {
    await server.close();
  });

  const queueOf = ({ head }: TestRun) => server.queueOf(head.runId);
  it("does a run to its summary, and leaves nothing in the queue", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 30 });
    const consumer = startTestConsumer(server.redis);
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 30);
    assert.deepEqual(await queueOf(run).getJobCounts("wait", "active", "delayed", "failed", "completed"), {
      wait: 0,
      active: 0,
      delayed: 0,
      failed: 0,
      completed: 0,
    });
  });

  it("counts a chunk whose part exists from the part, unrun and not rewritten, after Redis lost everything", async () => {
    const run = await submitRun(server.redis, tempDir());
    let predictions = 0;
    const predict = async () => {
      predictions += 1;
      if (predictions > 6) await new Promise<never>(() => {});
      return succeeded(somePrediction);
    };
    const first = startTestConsumer(server.redis, { predict, chunksInFlight: 1 });
    const part = join(tempDir(), "parts/part-00000000.parquet");
    while (!(await stat(part).catch(() => null))) await sleep(10);
    await first.drain(0);
    const written = (await stat(part)).mtimeMs;
    await server.redis.flushall();
    const { head, storage, source } = run;
    await registerRun({ head, storage, redis: server.redis, policy: testPolicy });
    await enqueueRun({
      head,
      storage,
      redis: server.redis,
      source,
      outages: testOutages,
      signal: new AbortController().signal,
    });
    predictions = -1_000;
    const second = startTestConsumer(server.redis, { predict });
    await completed(run);
    await second.drain(1_000);
    await assertSound(run, 12);
    assert.equal((await stat(part)).mtimeMs, written);
    assert.ok(predictions + 1_000 <= 8, `predicted ${predictions + 1_000} of 12 items again`);
    const record = await readRun(server.redis, head.runId);
    assert.deepEqual([record?.ok, record?.doneChunks], [12, 3]);
  });

  it("does every chunk once in effect where two consumers work and one loses its locks in the middle", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 24 });
    const { lines, log } = keepLog();
    const hasLost = () => lines.some((line) => /lost the lock of a chunk/.test(line));
    const slow = async () => {
      while (!hasLost()) await sleep(10);
      return succeeded(somePrediction);
    };
    let lost = 0;
    const loser = startTestConsumer(server.redis, {
      predict: slow,
      lockMs: 1_000,
      log,
      wrapQueue: (queue) => ({
        ...queue,
        take: async () => {
          // Two chunks only, else it would take, and lose, the same ones again.
          const taken = lost < 2 ? await queue.take() : null;
          if (taken === null) return null;
          lost += 1;
          return { ...taken, renewLock: async () => false };
        },
      }),
    });
    while (lost < 2) await sleep(10);
    const winner = startTestConsumer(server.redis, { lockMs: 1_000 });
    await completed(run);
    await Promise.all([loser.drain(2_000), winner.drain(2_000)]);
    await assertSound(run, 24);
    assert.ok(hasLost());
    assert.equal((await readRun(server.redis, run.head.runId))?.ok, 24);
  });

  it("goes on where a lock ran out unnoticed and another worker did the chunk meanwhile", async () => {
    const run = await submitRun(server.redis, tempDir());
    const { lines, log } = keepLog();
    let isDone = false;
    const stuck = async () => {
      while (!isDone) await sleep(20);
      return succeeded(somePrediction);
    };
    // As in a process that the system stopped for a while: it neither renews its lock nor learns that it is lost.
    const sleeper = startTestConsumer(server.redis, {
      predict: stuck,
      lockMs: 1_000,
      chunksInFlight: 1,
      log,
      wrapQueue: (queue) => ({
        ...queue,
        take: async () => {
          const taken = await queue.take();
          return taken === null ? null : { ...taken, renewLock: async () => true };
        },
      }),
    });
    while ((await queueOf(run).getActiveCount()) === 0) await sleep(10);
    const other = startTestConsumer(server.redis, { lockMs: 1_000 });
    await completed(run);
    isDone = true;
    await Promise.all([sleeper.drain(2_000), other.drain(2_000)]);
    await assertSound(run, 12);
    assert.equal((await readRun(server.redis, run.head.runId))?.ok, 12);
    assert.deepEqual(lines.filter((line) => /lost the lock of a chunk/.test(line)).length, 1);
  });

  it("finishes the chunks in hand while it drains, and takes no more", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 40 });
    const gate = gatedPredict();
    const consumer = startTestConsumer(server.redis, { predict: gate.predict });
    while ((await queueOf(run).getActiveCount()) < 2) await sleep(10);
    const drained = consumer.drain(30_000);
    gate.open();
    await drained;
    const { doneChunks } = (await readRun(server.redis, run.head.runId)) ?? {};
    assert.equal(doneChunks, 2);
    assert.deepEqual(await queueOf(run).getJobCounts("wait", "active"), { wait: 8, active: 0 });
  });

  it("has the chunks that it holds in work at the same time", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 8 });
    const seen = new Set<number>();
    // Answers nothing until items of both chunks have come.
    const predict = async (bytes: Uint8Array) => {
      seen.add(Math.floor(Number(Buffer.from(bytes).toString().slice(3)) / 4));
      while (seen.size < 2) await sleep(10);
      return succeeded(somePrediction);
    };
    const consumer = startTestConsumer(server.redis, { predict });
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 8);
  });

  it("gives chunks back when the time to drain is over, and the next worker takes them at once", async () => {
    const run = await submitRun(server.redis, tempDir());
    let taken = 0;
    const never = () => {
      taken += 1;
      return new Promise<never>(() => {});
    };
    // With such a lock time nobody gets a chunk that is not given back.
    const first = startTestConsumer(server.redis, { predict: never, lockMs: 600_000 });
    while (taken === 0) await sleep(10);
    await first.drain(100);
    const second = startTestConsumer(server.redis);
    await completed(run);
    await second.drain(1_000);
    await assertSound(run, 12);
  });

  it("ends with the infrastructure's error, and gives back what it held", async () => {
    const run = await submitRun(server.redis, tempDir());
    const predict = async () => {
      throw new LabelmillError("ENGINE_FAILED", { reason: "no engine" });
    };
    const broken = startTestConsumer(server.redis, { predict, lockMs: 60_000 });
    await assert.rejects(broken.ended, { code: "ENGINE_FAILED" });
    const sound = startTestConsumer(server.redis);
    await completed(run);
    await sound.drain(1_000);
    await assertSound(run, 12);
  });

  it("gives back all that it holds where one chunk fails, also a chunk that would never end", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 8 });
    const predict = async (bytes: Uint8Array) => {
      if (Number(Buffer.from(bytes).toString().slice(3)) < 4) return new Promise<never>(() => {});
      throw new LabelmillError("ENGINE_FAILED", { reason: "no engine" });
    };
    const broken = startTestConsumer(server.redis, { predict, lockMs: 60_000 });
    await assert.rejects(broken.ended, { code: "ENGINE_FAILED" });
    assert.deepEqual(await queueOf(run).getJobCounts("wait", "active"), { wait: 2, active: 0 });
  });

  it("goes on where a run is lost in the middle of a chunk, and serves the others", async () => {
    const lost = await submitRun(server.redis, join(tempDir(), "a"));
    let isLost = false;
    const predict = async () => {
      while (!isLost) await sleep(10);
      return succeeded(somePrediction);
    };
    const { lines, log } = keepLog();
    const consumer = startTestConsumer(server.redis, { predict, log });
    while ((await queueOf(lost).getActiveCount()) < 2) await sleep(10);
    await server.redis.flushall();
    isLost = true;
    const other = await submitRun(server.redis, join(tempDir(), "b"));
    await completed(other);
    await consumer.drain(1_000);
    await assertSound(other, 12);
    assert.ok(lines.some((line) => /cannot serve a run/.test(line)));
  });

  it("ends its drain, and its process, also where Redis never answers again", async () => {
    const program = fileURLToPath(new URL("./lonely-consumer.js", import.meta.url));
    const { stdout } = await execute(process.execPath, [program, tempDir()], { timeout: 50_000 });
    assert.match(stdout, /Redis does not answer/);
  });

  it("shares itself evenly between two runs", async () => {
    const runs = [
      await submitRun(server.redis, join(tempDir(), "a"), { count: 80 }),
      await submitRun(server.redis, join(tempDir(), "b"), { count: 80 }),
    ];
    const takes: number[] = [];
    let known = 0;
    const predict = async () => {
      while (known < 2) await sleep(5);
      return succeeded(somePrediction);
    };
    const consumer = startTestConsumer(server.redis, {
      predict,
      chunksInFlight: 1,
      wrapQueue: (queue) => {
        const run = known;
        known += 1;
        const take = async () => {
          const taken = await queue.take();
          if (taken !== null) takes.push(run);
          return taken;
        };
        return { ...queue, take };
      },
    });
    await Promise.all(runs.map(completed));
    await consumer.drain(1_000);
    for (let i = 2; i <= takes.length; i += 2) {
      const ofFirst = takes.slice(0, i).filter((run) => run === 0).length;
      assert.ok(Math.abs(i - 2 * ofFirst) <= 2, `of ${i} chunks ${ofFirst} are of one run`);
    }
  });

  it("stops with a resumable error where its only run is gone from Redis", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 200 });
    const gate = gatedPredict();
    const consumer = startTestConsumer(server.redis, { predict: gate.predict, onlyRun: run.head.runId });
    while (gate.seen.length === 0) await sleep(10);
    await server.redis.flushall();
    gate.open();
    await assert.rejects(consumer.ended, { code: "RUN_RECORD_LOST", retryable: true });
  });
});
