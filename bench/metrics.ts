/**
 * `npm run bench:metrics`: what `/metrics` costs. A worker without a model counts as it always does; a scrape reads Redis and writes
 * text, in the process that holds the locks, so what matters is how long it keeps the event loop busy.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { queueFigures } from "../src/library/queue-figures.js";
import { silentLog } from "../src/shared/log.js";
import { createWorkerMeter } from "../src/worker/health/meter.js";
import { writeMetrics } from "../src/worker/health/registry.js";
import { startTestRedis } from "../test/support/redis.js";
import { submitRun } from "../test/support/run-harness.js";

const directory = await mkdtemp(join(tmpdir(), "lm-bench-"));
const server = await startTestRedis();
for (const runs of [1, 100]) {
  for (let i = 0; i < runs; i += 1)
    await submitRun(server.redis, join(directory, `${runs}-${i}`), { count: 16, chunkSize: 1 });
  // The first of anything is slower.
  await writeMetrics([queueFigures(server.redis, silentLog)]);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  const scrapes = 20;
  let bytes = 0;
  // A source of its own each time, as a scrape every 15 s finds nothing that was kept.
  for (let i = 0; i < scrapes; i += 1) {
    bytes = (await writeMetrics([queueFigures(server.redis, silentLog)])).length;
    await sleep(50);
  }
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  const wallMs = (performance.now() - startedMs) / scrapes - 50;
  console.log(
    `${runs} runs: ${wallMs.toFixed(1)} ms a scrape, ${((user + system) / 1000 / scrapes).toFixed(1)} ms of CPU, ` +
      `delay of the event loop ${(delay.percentile(99) / 1e6).toFixed(1)} ms at the 99th percentile, ${(delay.max / 1e6).toFixed(1)} ms at most, ${bytes} bytes`,
  );
}
const meter = createWorkerMeter();
const counted = 1_000_000;
const startedMs = performance.now();
for (let i = 0; i < counted; i += 1) {
  meter.begin("fetch")();
  meter.stepped();
  meter.stepped();
}
console.log(`counting: ${(((performance.now() - startedMs) / counted) * 1e6).toFixed(0)} ns an item`);
await server.close();
await rm(directory, { recursive: true, force: true });
