import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dropQueue } from "../../src/producer/chunk-queue.js";
import { enqueueRun, registerRun, requeueLostChunks } from "../../src/producer/enqueue.js";
import { verifyResults } from "../../src/results/verify.js";
import { runPrefix } from "../../src/shared/job.js";
import { controlRun } from "../../src/shared/run-control.js";
import { recordKey } from "../../src/shared/run-keys.js";
import { readRun } from "../../src/shared/run-record.js";
import { readWorkers } from "../../src/shared/run-workers.js";
import { succeeded } from "../../src/worker/outcome.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  assertSound,
  completed,
  numberedSource,
  somePrediction,
  startTestConsumer,
  submitRun,
  type TestRun,
  testOutages,
  testPolicy,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

/** Holds every prediction until it is opened. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const seen: number[] = [];
  const predict = async (bytes: Uint8Array) => {
    seen.push(Number(Buffer.from(bytes).toString().slice(3)));
    await opened;
    return succeeded(somePrediction);
  };
  return { predict, seen, open: () => open() };
}

describe("worker: a run under control", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(() => server.close());

  const doneChunks = async ({ head }: TestRun) => (await readRun(server.redis, head.runId))?.doneChunks ?? 0;
  const inHand = ({ head }: TestRun) => server.queueOf(head.runId).getActiveCount();

  it("pauses within one chunk: what is in hand is finished, nothing more is taken, and the last look finds all waiting", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 40 });
    const { predict, open } = gate();
    const consumers = [1, 2].map(() => startTestConsumer(server.redis, { predict, chunksInFlight: 1 }));
    while ((await inHand(run)) < 2) await sleep(10);
    await controlRun(server.redis, run.head, "pause");
    open();
    while ((await inHand(run)) > 0) await sleep(10);
    assert.equal(await doneChunks(run), 2);
    // Two more looks of every worker at what there is to do.
    await sleep(2_200);
    assert.equal(await doneChunks(run), 2);
    assert.deepEqual(await server.queueOf(run.head.runId).getJobCounts("wait", "active"), { wait: 8, active: 0 });
    assert.equal(await requeueLostChunks({ ...run, redis: server.redis }), 0, "chunks of a paused run are not lost");
    await controlRun(server.redis, run.head, "resume");
    await completed(run);
    await Promise.all(consumers.map((consumer) => consumer.drain(1_000)));
    await assertSound(run, 40);
  });

  it("asks Redis little while all that there is is paused", async () => {
    const run = await submitRun(server.redis, tempDir());
    await controlRun(server.redis, run.head, "pause");
    const consumer = startTestConsumer(server.redis);
    await sleep(1_000);
    const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await server.redis.info("stats"))?.[1]);
    const before = await commands();
    await sleep(2_000);
    const asked = (await commands()) - before;
    assert.ok(asked < 60, `${asked} commands in two seconds`);
    await consumer.drain(1_000);
  });

  it("leaves a valid dataset where a run is cancelled with chunks in hand, which may commit, and takes it up again", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 40 });
    const { head, storage, source } = run;
    const { predict, open } = gate();
    const consumer = startTestConsumer(server.redis, { predict });
    while ((await inHand(run)) < 2) await sleep(10);
    await controlRun(server.redis, head, "cancel");
    await dropQueue(server.redis, head);
    open();
    while ((await doneChunks(run)) < 2) await sleep(10);
    // Two more looks: nobody serves it.
    await sleep(2_200);
    const stopped = await verifyResults(storage.location);
    assert.deepEqual([stopped.complete, stopped.rows, stopped.problems], [false, 8, []]);
    const left = await server.redis.keys(`${runPrefix(head.runId)}*`);
    const ttls = await Promise.all(left.map((key) => server.redis.pttl(key)));
    assert.ok(
      ttls.every((ms) => ms > 0),
      `of ${left} some stay for ever: ${ttls}`,
    );
    const again = { head, storage, redis: server.redis };
    assert.equal(await registerRun({ ...again, policy: testPolicy }), "reopened");
    await enqueueRun({ ...again, source, outages: testOutages, signal: new AbortController().signal });
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 40);
    assert.equal((await readRun(server.redis, head.runId))?.made, 32, "finished parts are not done again");
  });

  it("leaves nothing in Redis that does not expire, once a run is complete", async () => {
    const run = await submitRun(server.redis, tempDir());
    const consumer = startTestConsumer(server.redis);
    await completed(run);
    await consumer.drain(1_000);
    const keys = await server.redis.keys("*");
    const staying: string[] = [];
    for (const key of keys) if ((await server.redis.pttl(key)) === -1) staying.push(key);
    assert.ok(keys.length > 0);
    assert.deepEqual(staying, []);
  });

  it("ends the producer of a run that is cancelled while it pins, with nothing left in the queue", async () => {
    const run = await submitRun(server.redis, tempDir(), { count: 4 });
    const { head, storage, source } = run;
    await controlRun(server.redis, head, "cancel");
    const signal = new AbortController().signal;
    await assert.rejects(enqueueRun({ head, storage, redis: server.redis, source, outages: testOutages, signal }), {
      code: "RUN_CANCELLED",
    });
    assert.equal((await server.redis.keys(`${runPrefix(head.runId)}:chunks:chunk-*`)).length, 0);
  });

  it("does an urgent run before anything else is taken, at once also where all places are", async () => {
    const usual = await submitRun(server.redis, join(tempDir(), "usual"), { count: 40 });
    const { predict, seen, open } = gate();
    const consumer = startTestConsumer(server.redis, { predict, chunksInFlight: 1 });
    while (seen.length < 4) await sleep(10);
    const source = numberedSource(8, (i) => `/i/${1000 + i}`);
    const urgent = await submitRun(server.redis, join(tempDir(), "urgent"), { source, priority: 1 });
    while ((await inHand(urgent)) < 1) await sleep(10);
    assert.equal(await inHand(usual), 1, "the place is still taken");
    open();
    await Promise.all([completed(usual), completed(urgent)]);
    await consumer.drain(1_000);
    const lastUrgent = seen.findLastIndex((item) => item >= 1000);
    const nextUsual = seen.findIndex((item) => item >= 4 && item < 1000);
    assert.ok(lastUrgent < nextUsual, seen.join(" "));
    await Promise.all([assertSound(usual, 40), assertSound(urgent, 8)]);
  });

  it("notes which workers serve a run and why others refuse it, without paths", async () => {
    const run = await submitRun(server.redis, tempDir());
    await controlRun(server.redis, run.head, "pause");
    await controlRun(server.redis, run.head, "resume");
    const { predict, open } = gate();
    const consumer = startTestConsumer(server.redis, { predict });
    while ((await readWorkers(server.redis, run.head.runId)).length === 0) await sleep(10);
    const [report] = await readWorkers(server.redis, run.head.runId);
    assert.deepEqual([report?.worker, report?.refusal], ["test-worker", null]);
    const elsewhere = await submitRun(server.redis, join(tempDir(), "x"), { sources: ["/secret/place"] });
    while ((await readWorkers(server.redis, elsewhere.head.runId)).length === 0) await sleep(10);
    const [refusal] = await readWorkers(server.redis, elsewhere.head.runId);
    assert.equal(refusal?.refusal, "a source of it is not below an --allow-root of this worker");
    await server.redis.hset(recordKey(run.head.runId, "workers"), "newer", `${Date.now()} what is this`);
    await server.redis.hset(recordKey(run.head.runId, "workers"), "timeless", "x");
    const all = await readWorkers(server.redis, run.head.runId);
    assert.deepEqual(
      all.map(({ worker, refusal }) => [worker, refusal]),
      [
        ["test-worker", null],
        ["newer", "what it noted cannot be read by this version"],
      ],
    );
    open();
    await consumer.drain(1_000);
  });
});
