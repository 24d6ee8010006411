/**
 * The deliveries of a worker: for every run under way that has sinks, or for all where the worker was given some; and for runs
 * that completed before all was delivered, as a short one may between two looks, or one whose workers were stopped. A look
 * now and then at the runs of its Redis, and for each one loops of its own, until its last part is delivered, which takes
 * its sinks off the record. Called by `startWorker`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openRunStorage, readOwnHead } from "../dataset/run-storage.js";
import { messageOf } from "../shared/errors.js";
import type { Redis } from "../shared/redis.js";
import { listActiveRuns, listKnownRuns } from "../shared/run-index.js";
import { type RunRecord, readRun } from "../shared/run-record.js";
import { noteSinks, readSinks } from "../shared/run-sinks.js";
import type { CallContext } from "./context.js";
import { type Deliveries, startDeliveries } from "./deliveries.js";
import { createDatasetOpener } from "./open-dataset.js";
import { readSinkTargets } from "./sink-targets.js";

const lookEveryMs = 2_000;

/** Starts to look; `stop` ends all of it, and what is not delivered waits for the next worker, or a push. */
export function startWorkDeliveries(context: CallContext, redis: Redis): { stop(): Promise<void> } {
  const controller = new AbortController();
  const { signal } = controller;
  const open = new Map<string, OpenRun>();
  const settled = new Set<string>();
  const looking = (async () => {
    while (!signal.aborted) {
      // Redis away is waited for by its connection; all else is tried again.
      await visitRuns(context, redis, { open, settled }).catch((error: unknown) => {
        context.log.debug("no look at the runs' sinks", { reason: messageOf(error) });
      });
      await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
    }
  })();
  looking.catch(() => {});
  return {
    async stop() {
      controller.abort();
      await Promise.all([...open.values()].map(({ deliveries }) => deliveries.stop()));
    },
  };
}

interface Visited {
  readonly open: Map<string, OpenRun>;
  /** Runs that have ended without a sink to deliver to: there may be thousands, and none is asked for twice. */
  readonly settled: Set<string>;
}

async function visitRuns(context: CallContext, redis: Redis, { open, settled }: Visited): Promise<void> {
  const active = await listActiveRuns(redis);
  const known = await listKnownRuns(redis);
  await leaveRuns(redis, open, { active, known });
  for (const runId of known) {
    const isActive = active.includes(runId);
    if (isActive) settled.delete(runId);
    if (open.has(runId) || settled.has(runId)) continue;
    const noted = await readSinks(redis, runId);
    if (!isActive && noted.length === 0) {
      settled.add(runId);
      continue;
    }
    const record = await readRun(redis, runId);
    if (record === null || record.state === "cancelled") continue;
    const deliveries = await openDeliveries(context, record, { noted, isActive }).catch((error: unknown) => {
      // Its dataset is not here, which the worker has said already, or its sink is of a later version.
      context.log.debug("no delivery for this run", { runId, reason: messageOf(error) });
      return null;
    });
    if (deliveries === null) continue;
    const run = { deliveries, hasEnded: false };
    open.set(runId, run);
    const ended = deliveries.ended.then(async (isDelivered) => {
      run.hasEnded = true;
      if (isDelivered) await noteSinks(redis, record, []);
    });
    ended.catch((error: unknown) => {
      // The next worker looks at what the sinks have, and finds that it is all.
      context.log.debug("cannot note what is delivered", { runId, reason: messageOf(error) });
    });
  }
}

/** `open` keeps what has ended while its run is known, so that what cannot be delivered is said once. */
async function leaveRuns(
  redis: Redis,
  open: Map<string, OpenRun>,
  { active, known }: { readonly active: readonly string[]; readonly known: readonly string[] },
): Promise<void> {
  for (const [runId, run] of open) {
    if (active.includes(runId)) continue;
    const record = await readRun(redis, runId);
    // A run that completed is delivered to its end; of one that was cancelled or removed nothing more is to come.
    const isGone = record === null || record.state === "cancelled";
    if (isGone) await run.deliveries.stop();
    if (run.hasEnded && (isGone || !known.includes(runId))) open.delete(runId);
  }
}

interface OpenRun {
  readonly deliveries: Deliveries;
  readonly hasEnded: boolean;
}

async function openDeliveries(
  context: CallContext,
  record: RunRecord,
  { noted, isActive }: { readonly noted: readonly string[]; readonly isActive: boolean },
): Promise<Deliveries | null> {
  const { options, places, log } = context;
  // The worker's own come last: where both name a place, its url may have the password.
  const all = readSinkTargets([...noted, ...options.sink], places);
  const names = readSinkTargets(noted, places).map(({ name }) => name);
  // Not what others completed long ago into a sink that is this worker's alone.
  const targets = isActive ? all : all.filter(({ name }) => names.includes(name));
  if (targets.length === 0) return null;
  const place = createDatasetOpener(context)(record.out);
  const head = await readOwnHead(place, record);
  // Its rows are those of the dataset that it mends: a push of that has them.
  if (head.identity.retry !== undefined) return null;
  return startDeliveries({ targets, head, storage: openRunStorage(place, record), log, until: "complete" });
}
