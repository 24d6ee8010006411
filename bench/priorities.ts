/**
 * `npm run bench:priorities [-- --items N --equal N --workers N]`: what priorities and fair shares are worth. The model is
 * left out, so that only queueing, fetching nothing, writing Parquet and counting is at work; where it says so, each image
 * takes `--predict-ms` in one queue a worker, as a model would.
 *
 * First an urgent run of 100 items is submitted to workers that are busy with a large one: how long until its summary is
 * there, with a higher priority and as an equal. Then three equal runs: the share of each, second by second.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { readRun } from "../src/shared/run-record.js";
import type { Consumer } from "../src/worker/consumer.js";
import { succeeded } from "../src/worker/outcome.js";
import { startTestRedis } from "../test/support/redis.js";
import {
  assertSound,
  completed,
  somePrediction,
  startTestConsumer,
  submitRun,
  type TestRun,
} from "../test/support/run-harness.js";

const { values } = parseArgs({
  options: {
    items: { type: "string", default: "200000" },
    equal: { type: "string", default: "20000" },
    workers: { type: "string", default: "2" },
    "predict-ms": { type: "string", default: "5" },
  },
});
const urgentItems = 100;
const chunkSize = 256;
const directory = await mkdtemp(join(tmpdir(), "labelmill-priorities-"));
const server = await startTestRedis();
let runs = 0;

const submit = (count: number, priority: number, size = chunkSize) => {
  runs += 1;
  return submitRun(server.redis, join(directory, String(runs)), { count, chunkSize: size, priority });
};
const doneItems = async ({ head }: TestRun) => (await readRun(server.redis, head.runId))?.ok ?? 0;

function startWorkers(predictMs: number): Consumer[] {
  return Array.from({ length: Number(values.workers) }, () => {
    let model = Promise.resolve();
    const predict = async () => {
      if (predictMs > 0) {
        model = model.then(() => sleep(predictMs));
        await model;
      }
      return succeeded(somePrediction);
    };
    return startTestConsumer(server.redis, { predict });
  });
}

const drain = (workers: readonly Consumer[]) => Promise.all(workers.map((worker) => worker.drain(0)));

/** Seconds from the end of its submission to the urgent run's summary, and how much of the large one was done by then. */
async function measureUrgent(priority: number, predictMs: number): Promise<void> {
  const large = await submit(Number(values.items), 0);
  const workers = startWorkers(predictMs);
  while ((await doneItems(large)) === 0) await sleep(10);
  const urgent = await submit(urgentItems, priority);
  const startedMs = performance.now();
  const before = await doneItems(large);
  await completed(urgent);
  const seconds = (performance.now() - startedMs) / 1000;
  const meanwhile = (await doneItems(large)) - before;
  if (predictMs === 0 && priority > 0) {
    await completed(large);
    const all = (performance.now() - startedMs) / 1000;
    await assertSound(large, Number(values.items));
    console.log(`the large run of ${values.items} items took ${all.toFixed(1)} s more`);
  }
  await drain(workers);
  await assertSound(urgent, urgentItems);
  await server.redis.flushall();
  const how = priority > 0 ? `priority ${priority}` : "as an equal";
  const model = predictMs === 0 ? "no model" : `${predictMs} ms an image`;
  console.log(`urgent, ${how}, ${model}: ${seconds.toFixed(2)} s; of the large run meanwhile ${meanwhile} items`);
}

/** Prints the share of each of three equal runs, one of them in small chunks, until the first is complete. */
async function measureShares(): Promise<void> {
  const count = Number(values.equal);
  const equal = [await submit(count, 0), await submit(count, 0), await submit(count, 0, 64)];
  const workers = startWorkers(0);
  console.log(`three equal runs of ${count} items, chunks of 256, 256 and 64: share of each`);
  let done = [0, 0, 0];
  while (Math.max(...done) < count) {
    await sleep(1_000);
    const now = await Promise.all(equal.map(doneItems));
    const made = now.map((items, i) => items - (done[i] ?? 0));
    const all = made.reduce((sum, n) => sum + n, 0);
    if (all > 0) console.log(made.map((n) => `${((100 * n) / all).toFixed(1).padStart(5)} %`).join(" "), ` of ${all}`);
    done = now;
  }
  console.log(`when the first was complete: ${done.join(", ")} items`);
  await Promise.all(equal.map(completed));
  await drain(workers);
}

try {
  await measureUrgent(10, 0);
  await measureUrgent(0, 0);
  await measureUrgent(10, Number(values["predict-ms"]));
  await measureUrgent(0, Number(values["predict-ms"]));
  await measureShares();
} finally {
  await server.close();
  await rm(directory, { recursive: true, force: true });
}
