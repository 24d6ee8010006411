import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { readPartCounts } from "../../src/dataset/part.js";
import { failure } from "../../src/shared/errors.js";
import { requireRun } from "../../src/shared/run-record.js";
import type { Prediction } from "../../src/worker/compute/protocol.js";
import { type ComputeClient, createComputeClient } from "../../src/worker/compute-client/client.js";
import type { Fetcher } from "../../src/worker/fetch/fetcher.js";
import { failedWith, type Outcome, succeeded } from "../../src/worker/outcome.js";
import { createPredictionWindow } from "../../src/worker/prediction-window.js";
import type { RunQueue } from "../../src/worker/run-queue.js";
import { childSettings } from "../support/compute-settings.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  assertSound,
  completed,
  fetchedAs,
  keepLog,
  somePrediction,
  startTestConsumer,
  submitRun,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

/** What becomes of items with the same bytes, of different chunks, where one chunk or the compute child does not get through. */
describe("worker/duplicates", function () {
  this.timeout(30_000);

  describe("of chunks that are taken away", () => {
    const tempDir = useTempDir();
    let server: TestRedis;
    before(async () => {
      server = await startTestRedis();
    });
    after(() => server.close());

    /** A worker with two chunks of one item each in hand: the first one's is at the model, the second one's waits for it. */
    async function holdBoth({ losesFirst = false } = {}) {
      const run = await submitRun(server.redis, tempDir(), { count: 2, chunkSize: 1 });
      const answers: ((outcome: Outcome<Prediction>) => void)[] = [];
      let fetched = 0;
      let taken = 0;
      const fetcher: Fetcher = {
        fetch: async () => {
          fetched += 1;
          return succeeded(fetchedAs("the same"));
        },
      };
      const wrapQueue = (queue: RunQueue): RunQueue => ({
        ...queue,
        async take() {
          const mayTake = taken === 0 || (taken === 1 && answers.length === 1);
          const chunk = mayTake ? await queue.take() : null;
          if (chunk === null) return null;
          taken += 1;
          return losesFirst && taken === 1 ? { ...chunk, renewLock: async () => false } : chunk;
        },
      });
      const { log, lines } = keepLog();
      const consumer = startTestConsumer(server.redis, {
        predict: () => new Promise((resolve) => answers.push(resolve)),
        lockMs: 3_000,
        fetcher,
        wrapQueue,
        log,
      });
      while (fetched < 2) await sleep(5);
      const doneChunks = async () => (await requireRun(server.redis, run.head)).doneChunks;
      return { run, consumer, answers, lines, fetcher, doneChunks };
    }

    it("answers the one that waits, although the other's chunk lost its lock and was done elsewhere", async () => {
      const { run, consumer, answers, lines, fetcher, doneChunks } = await holdBoth({ losesFirst: true });
      while (!lines.some((line) => /lost the lock/.test(line))) await sleep(20);
      const other = startTestConsumer(server.redis, { lockMs: 3_000, fetcher });
      while ((await doneChunks()) < 1) await sleep(20);
      answers[0]?.(succeeded(somePrediction));
      await completed(run);
      await Promise.all([consumer.drain(1_000), other.drain(1_000)]);
      await assertSound(run, 2);
      assert.equal(answers.length, 1);
      const duplicates = async (chunk: number) => (await readPartCounts(run.storage, chunk, "parquet"))?.duplicates;
      assert.deepEqual([await duplicates(0), await duplicates(1)], [0, 1]);
      assert.equal((await requireRun(server.redis, run.head)).duplicates, 1);
    });

    it("gives both back when the time to drain is over, whatever becomes of the image at the model", async () => {
      const { run, consumer, answers, fetcher } = await holdBoth();
      await consumer.drain(0);
      const counts = await server.queueOf(run.head.runId).getJobCounts("wait", "active", "delayed");
      assert.deepEqual(counts, { wait: 2, active: 0, delayed: 0 });
      // Which would have the other item tried, were it still wanted here.
      answers[0]?.(failedWith(failure("WORKER_CRASH", { reason: "a test" })));
      const other = startTestConsumer(server.redis, { fetcher });
      await completed(run);
      await other.drain(1_000);
      await assertSound(run, 2);
      assert.equal(answers.length, 1, "what was given back is not tried here any more");
    });

    it("finishes both within the time to drain", async () => {
      const { run, consumer, answers } = await holdBoth();
      const drained = consumer.drain(20_000);
      answers[0]?.(succeeded(somePrediction));
      await drained;
      await assertSound(run, 2);
      assert.deepEqual([answers.length, (await requireRun(server.redis, run.head)).duplicates], [1, 1]);
    });
  });

  describe("of a compute child that dies", () => {
    let client: ComputeClient;
    beforeEach(async () => {
      const entry = fileURLToPath(new URL("./compute-client/scripted-child.js", import.meta.url));
      const spawnChild = () =>
        fork(entry, ["works"], { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] });
      client = await createComputeClient(spawnChild, { ...childSettings, itemTimeoutMs: 10_000 });
    });
    afterEach(() => client.close());

    /** One item for each letter, all at once: the letter is all of its bytes. */
    async function answersTo(letters: string) {
      const window = createPredictionWindow();
      let asked = 0;
      const answers = [...letters].map((letter, i) => {
        const predict = () => {
          asked += 1;
          return client.predict(Buffer.from(letter), 1);
        };
        const turn = { predict, leave: () => {}, comeBack: async () => {} };
        return window.answer({ item: `r/${i}`, sha256: letter, topK: 1, wantsEmbedding: true }, turn);
      });
      const done = async () =>
        (await Promise.all(answers)).map(({ prediction, isDuplicate }) => ({
          says: prediction.ok ? "ok" : prediction.failure.code,
          isDuplicate,
        }));
      return { done: done(), asked: () => asked };
    }

    it("gives all of them what the next child says, and asks it once", async () => {
      const { done, asked } = await answersTo("oooo");
      process.kill(client.pids[0] ?? 0, "SIGKILL");
      const others = { says: "ok", isDuplicate: true };
      assert.deepEqual(await done, [{ says: "ok", isDuplicate: false }, others, others, others]);
      assert.deepEqual([asked(), client.times().restarts], [1, 1]);
    });

    it("fails each of those that it dies over for its own two deaths, and no other", async () => {
      const { done, asked } = await answersTo("coco");
      const crash = { says: "WORKER_CRASH", isDuplicate: false };
      const ok = { says: "ok", isDuplicate: false };
      assert.deepEqual(await done, [crash, ok, crash, { ...ok, isDuplicate: true }]);
      assert.equal(asked(), 3);
    });

    it("rejects for each where no child can work any more", async () => {
      const { done } = await answersTo("xxx");
      await assert.rejects(done, { code: "ENGINE_FAILED" });
      const { done: later } = await answersTo("o");
      await assert.rejects(later, { code: "ENGINE_FAILED" });
    });
  });
});
