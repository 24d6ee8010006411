import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { registerRun } from "../producer/enqueue.js";
import type { Log } from "../shared/log.js";
import { durationMs } from "../shared/option-spec.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { Outages } from "../shared/outages.js";
import { controlRun } from "../shared/run-control.js";
import type { RunState } from "../shared/run-record.js";
import { noteSinks } from "../shared/run-sinks.js";
import type { Places } from "./places.js";
import type { RunRedis } from "./run-redis.js";
import { readSinkTargets } from "./sink-targets.js";

export interface Registering {
  readonly options: ResolvedOptions;
  readonly places: Places;
  readonly log: Log;
  readonly head: RunHead;
  readonly storage: Storage;
  readonly redis: RunRedis;
  readonly outages: Outages;
}

/**
 * Registers a run that is submitted, for the first time or again. One that was cancelled is taken up again, and the log
 * says so; one that was paused stays paused, also where its private Redis ended in between. Throws RUN_RECORD_LOST.
 */
export async function registerAsWished(
  { options, places, log, head, storage, redis, outages }: Registering,
  signal: AbortSignal,
): Promise<void> {
  const policy = { priority: options.priority, keepMs: durationMs(options.keep) };
  const run = { head, storage, redis: redis.redis, policy };
  const registered = await outages.outlast(() => registerRun(run), signal);
  const sinks = readSinkTargets(options.sink, places).map(({ name }) => name);
  await outages.outlast(() => noteSinks(redis.redis, head, sinks), signal);
  if (redis.wish === "paused" && registered === "created")
    await outages.outlast(() => controlRun(redis.redis, head, "pause"), signal);
  if (redis.wish === "cancelled") await redis.forgetWish();
  if (registered === "reopened" || redis.wish === "cancelled")
    log.warn("the run was cancelled; it is taken up again where it was", { runId: head.runId });
}

const remindEveryMs = 30_000;

/** The run waits for its user, and what to do: said at once, now and then, and when it goes on. */
export function createPauseNotice(log: Log, runId: string): (state: RunState) => void {
  let saidMs: number | null = null;
  return (state) => {
    if (state === "paused" && (saidMs === null || performance.now() - saidMs >= remindEveryMs)) {
      log.warn(`paused; labelmill runs resume ${runId}`);
      saidMs = performance.now();
    }
    if (state === "paused" || saidMs === null) return;
    log.info("no longer paused", { runId, state });
    saidMs = null;
  };
}
