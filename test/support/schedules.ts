/** Schedules on a real Redis, executors and workers in this process, and the moments that tests pretend it to be. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { addSchedule, runSchedules, startWorker } from "labelmill";
import { resolveCall } from "../../src/library/context.js";
import { claimDue } from "../../src/library/run-schedules.js";
import { readStarts } from "../../src/producer/schedule-book.js";
import { openScheduleQueue, type ScheduleQueue } from "../../src/producer/schedule-queue.js";
import { resnet50ForTests } from "./model.js";
import { startTestRedis, type TestRedis } from "./redis.js";
import { projectRoot } from "./shared-data.js";
import { useTempDir } from "./temp-dir.js";

export const photos = join(projectRoot, "examples/photos");
export const hourMs = 3_600_000;
/** Two days ahead: no executor claims the starts from here on by itself. */
const ahead = (Math.floor(Date.now() / hourMs) + 48) * hourMs;
export const hour = (n: number) => ahead + n * hourMs;

/** To be called in a `describe`: each test has a Redis of its own, and a schedule `s` that it adds. */
export function useSchedules() {
  const tempDir = useTempDir();
  let server: TestRedis;
  let queue: ScheduleQueue;
  const executors: { stop(): Promise<void> }[] = [];
  before(() => resnet50ForTests());
  beforeEach(async () => {
    server = await startTestRedis();
    queue = openScheduleQueue(server.redis);
  });
  const stopAll = async () => {
    for (const executor of executors.splice(0)) await executor.stop();
  };
  afterEach(async () => {
    await stopAll();
    await queue.close();
    await server.close();
  });

  const add = async (words: Partial<Parameters<typeof addSchedule>[1]> = {}) => {
    const own = { name: "s", every: "1h", out: join(tempDir(), "out"), redisUrl: server.url };
    const added = await addSchedule(photos, { ...own, ...words });
    if (added.change === "added") await seen(ahead);
    return added;
  };
  /** All starts up to then have been claimed. */
  const seen = (ms: number) => server.redis.hset("{labelmill:schedules}:seen", "s", ms);
  const claim = (nowMs: number, name = "s") =>
    claimDue({ context: resolveCall({ redisUrl: server.url }), redis: server.redis, queue }, name, nowMs);
  const states = async () => (await readStarts(server.redis, "s")).map(({ state }) => state);
  const until = async (wanted: readonly string[]) => {
    while (JSON.stringify(await states()) !== JSON.stringify(wanted)) await sleep(50);
  };
  /** Has a run: its list is pinned, and its id known. */
  const isSubmitted = async (n: number) => {
    while ((await readStarts(server.redis, "s"))[n]?.runId == null) await sleep(50);
  };
  const execute = (lockMs = 2_000) => {
    const controller = new AbortController();
    const running = runSchedules({ redisUrl: server.url, lockMs, signal: controller.signal });
    // Awaited at the end.
    running.catch(() => {});
    const stop = async () => {
      controller.abort();
      await running;
    };
    executors.push({ stop });
    return stop;
  };
  const work = async () => {
    const worker = await startWorker({ redisUrl: server.url, allowRoot: [photos] });
    executors.push({ stop: () => worker.close(1_000) });
  };
  const datasets = () => readdir(join(tempDir(), "out"));
  return {
    tempDir,
    server: () => server,
    queue: () => queue,
    add,
    seen,
    claim,
    states,
    until,
    isSubmitted,
    execute,
    work,
    datasets,
    stopAll,
  };
}
