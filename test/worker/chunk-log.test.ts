import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chunkJobId } from "../../src/shared/job.js";
import type { Log } from "../../src/shared/log.js";
import { createWorkerMeter } from "../../src/worker/health/meter.js";
import { gatedPredict } from "../support/outages.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { completed, startTestConsumer, submitRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

interface Line extends Record<string, unknown> {
  readonly message: string;
}

function keepLines(): { readonly lines: Line[]; readonly log: Log } {
  const lines: Line[] = [];
  const keep = (message: string, fields: Record<string, unknown> = {}) => void lines.push({ ...fields, message });
  return { lines, log: { debug: keep, info: keep, warn: keep, error: keep } };
}

describe("worker/chunk-log", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  /** Lines with these words, each of which names worker, run and chunk. */
  const about = (lines: readonly Line[], words: RegExp, runId: string): readonly unknown[] => {
    const found = lines.filter(({ message }) => words.test(message));
    for (const line of found) assert.deepEqual([line.runId, line.workerId], [runId, "test-worker"], line.message);
    return found.map(({ chunk }) => chunk).sort();
  };

  it("names worker, run and chunk when a chunk is done", async () => {
    const { lines, log } = keepLines();
    const meter = createWorkerMeter();
    const run = await submitRun(server.redis, join(tempDir(), "out"), { count: 12, chunkSize: 4 });
    const consumer = startTestConsumer(server.redis, { log, meter });
    await completed(run);
    await consumer.drain(10_000);
    assert.deepEqual(about(lines, /^chunk done$/, run.head.runId), [0, 1, 2].map(chunkJobId));
    assert.deepEqual(meter.counts.chunks, { done: 3, found: 0, given_back: 0, lost: 0, refused: 0 });
    assert.deepEqual([meter.counts.ok, meter.counts.chunksInHand], [12, 0]);
  });

  it("names them when a lock is lost, and when a chunk is given back or refused", async () => {
    const { lines, log } = keepLines();
    const meter = createWorkerMeter();
    const gate = gatedPredict();
    const run = await submitRun(server.redis, join(tempDir(), "out"), { count: 8, chunkSize: 4 });
    await server.queueOf(run.head.runId).add("chunk", { v: 1 }, { jobId: "odd" });
    let renewals = 0;
    const consumer = startTestConsumer(server.redis, {
      log,
      meter,
      predict: gate.predict,
      lockMs: 1_000,
      chunksInFlight: 3,
      wrapQueue: (queue) => ({
        ...queue,
        async take() {
          const taken = await queue.take();
          if (taken?.jobId !== chunkJobId(0)) return taken;
          return {
            ...taken,
            async renewLock() {
              renewals += 1;
              return false;
            },
          };
        },
      }),
    });
    while (meter.counts.chunks.lost === 0 || meter.counts.chunks.refused === 0) await sleep(20);
    gate.open();
    await consumer.drain(0);
    const { runId } = run.head;
    assert.ok(about(lines, /^lost the lock/, runId).includes(chunkJobId(0)));
    assert.deepEqual(about(lines, /^Refused job/, runId), ["odd"]);
    assert.ok(renewals > 0 && meter.counts.lockFailures === renewals, `${meter.counts.lockFailures} of ${renewals}`);
    about(lines, /^gave a chunk back$/, runId);
  });
});
