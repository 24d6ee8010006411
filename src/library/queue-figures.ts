/**
 * The figures of a Redis: its memory, the runs under way, and the one number that workers are scaled by. Read from the records
 * and queues when somebody asks, and at most every two seconds, so that any number of processes may be scraped. What does
 * not answer in time is absent, and `labelmill_redis_up` is 0: a scrape never waits for Redis.
 */
import { countAllQueued } from "../producer/chunk-queue.js";
import { messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { MetricSource, Sample } from "../shared/metrics.js";
import type { Redis } from "../shared/redis.js";
import { listActiveRuns } from "../shared/run-index.js";
import { hasEnded, type RunRecord, readRun, runStates } from "../shared/run-record.js";
import { within } from "../worker/health/checks.js";

const answerWithinMs = 2_000;
const keptMs = 2_000;
/** Runs with figures of their own; the sums are of all. The youngest are kept. */
const mostRuns = 100;
/** Runs read at once: between two lots other work has its turn. */
const atOnce = 16;

const down: readonly Sample[] = [{ name: "labelmill_redis_up", value: 0 }];

/** The figures of `queueMetrics`. The connection stays the caller's. A Redis that refuses is told to `log`, once a reason. */
export function queueFigures(redis: Redis, log: Log): MetricSource {
  let refusal: string | null = null;
  const read = async () => {
    try {
      const figures = await readFigures(redis);
      refusal = null;
      return figures;
    } catch (error) {
      // One that answers, and not with figures, is no outage that anybody else would notice: rights that are missing, say.
      if (messageOf(error) !== refusal) log.warn("no figures of the queue", { error: messageOf(error) });
      refusal = messageOf(error);
      return down;
    }
  };
  let reading: Promise<readonly Sample[]> | null = null;
  let readAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (redis.status !== "ready") return down;
    if (performance.now() - readAtMs > keptMs) {
      readAtMs = Number.POSITIVE_INFINITY;
      reading = read();
      void reading.finally(() => {
        readAtMs = performance.now();
      });
    }
    return within(reading ?? Promise.resolve(down), answerWithinMs, down);
  };
}

interface RunFigures {
  readonly record: RunRecord;
  readonly waiting: number;
  readonly inHand: number;
}

async function readFigures(redis: Redis): Promise<readonly Sample[]> {
  const memory = await redis.info("memory");
  const runs = await readRuns(redis);
  const runnable = runs.filter(({ record }) => record.state !== "paused");
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(memory)?.[1] ?? 0);
  return [
    { name: "labelmill_redis_up", value: 1 },
    { name: "labelmill_redis_memory_bytes", value: field("used_memory") },
    { name: "labelmill_redis_memory_limit_bytes", value: field("maxmemory") },
    { name: "labelmill_queue_chunks", value: runnable.reduce((sum, { waiting, inHand }) => sum + waiting + inHand, 0) },
    ...runStates.map((state): Sample => {
      const value = runs.filter(({ record }) => record.state === state).length;
      return { name: "labelmill_runs", labels: { state }, value };
    }),
    ...runs.slice(-mostRuns).flatMap(figuresOf),
  ];
}

async function readRuns(redis: Redis): Promise<RunFigures[]> {
  const ids = await listActiveRuns(redis);
  const runs: RunFigures[] = [];
  for (let i = 0; i < ids.length; i += atOnce) {
    const lot = ids.slice(i, i + atOnce);
    const counts = await countAllQueued(redis, lot);
    const records = await Promise.all(lot.map((runId) => readRun(redis, runId)));
    for (const [j, record] of records.entries()) {
      // Lost since it was listed, or ended and not taken off the list yet.
      if (record === null || hasEnded(record)) continue;
      runs.push({ record, ...(counts[j] ?? { waiting: 0, inHand: 0 }) });
    }
  }
  return runs;
}

function figuresOf({ record, waiting, inHand }: RunFigures): readonly Sample[] {
  const { runId: run, items, ok, failed, chunks, doneChunks, state, failuresByCode } = record;
  return [
    { name: "labelmill_run_items", labels: { run }, value: items },
    { name: "labelmill_run_rows", labels: { run, status: "ok" }, value: ok },
    { name: "labelmill_run_rows", labels: { run, status: "failed" }, value: failed },
    ...Object.entries(failuresByCode).map(([code, value]): Sample => {
      return { name: "labelmill_run_failures", labels: { run, code }, value };
    }),
    ...Object.entries({ pinned: chunks, done: doneChunks, waiting, in_hand: inHand }).map(([of, value]): Sample => {
      return { name: "labelmill_run_chunks", labels: { run, state: of }, value };
    }),
    { name: "labelmill_run_state", labels: { run, state }, value: 1 },
  ];
}
