/**
 * Finds the runs that this worker serves, opens the new ones, and ends the finished ones. A run that this worker cannot
 * serve is left to others, with the reason in the log and in Redis: a node without the mount must not drain a run into
 * failures. A paused run is closed like one that has ended, and opened again when it goes on.
 */
import { isAbsolute, sep } from "node:path";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { isCode, LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { isStorageTrouble } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { leaveActiveRuns, listActiveRuns } from "../shared/run-index.js";
import { hasEnded, type RunRecord, readRun } from "../shared/run-record.js";
import { finishRun } from "./finish.js";
import type { ModelDescription } from "./model/describe-model.js";
import { createRefusals, Refusal } from "./refusals.js";
import type { RunReports } from "./run-reports.js";
import { openRunDataset, openServedRun, type WorkerContext } from "./served-run.js";
import type { ServedRun } from "./serving.js";
import { createVisitsInTime } from "./visits-in-time.js";

export interface RunFinderSettings {
  readonly context: WorkerContext;
  /** Serves this run alone, and says so if it is lost; null serves every run it can. */
  readonly onlyRun: string | null;
  /** What this worker has loaded. */
  readonly model: Pick<ModelDescription, "name" | "precision" | "modelSha256" | "preprocessSha256">;
  readonly allowRoots: readonly string[];
  readonly reports: RunReports;
  readonly log: Log;
}

interface OpenRun {
  readonly served: ServedRun;
  readonly head: RunHead;
  readonly storage: Storage;
  /** As the record said last: it may change when the run is submitted again. */
  readonly standing: { priority: number };
}

/** How long a run is left alone whose dataset failed in the middle of the work, and was not back in time. */
const restMs = 60_000;

/** Returns the function that the consumer asks for its runs. Throws RUN_RECORD_LOST where the only run is gone. */
export function createRunFinder(settings: RunFinderSettings): () => Promise<ServedRun[]> {
  const { context, onlyRun, reports, log } = settings;
  const open = new Map<string, OpenRun>();
  const refusals = createRefusals(log);

  const openRun = async (record: RunRecord): Promise<void> => {
    const { runId } = record;
    const dataset = await openRunDataset(record, context.openStorage);
    const refusal = refusalOf(dataset.head, settings);
    if (refusal !== null) throw refusal;
    const standing = { priority: record.priority };
    const own = { priority: () => standing.priority, leave: (error: unknown) => rest(runId, error) };
    open.set(runId, { ...dataset, standing, served: await openServedRun(dataset, context, own) });
    refusals.forget(runId);
    log.debug("serving run", { runId, out: record.out });
  };

  const visit = async (runId: string): Promise<void> => {
    if (refusals.isResting(runId)) return;
    const record = await readRun(context.redis, runId);
    const known = open.get(runId);
    const isLost = record === null || (known !== undefined && known.head.epoch !== record.epoch);
    if (isLost && onlyRun !== null)
      throw new LabelmillError("RUN_RECORD_LOST", { runId, reason: "there is no record" });
    if (isLost || record.state === "paused" || hasEnded(record)) {
      open.delete(runId);
      if (onlyRun === null && record !== null) await unlistEnded(context.redis, record);
      return;
    }
    if (known !== undefined) {
      known.standing.priority = record.priority;
      if ((await finishRun(record, { ...known, redis: context.redis })) !== null) open.delete(runId);
      return;
    }
    await openRun(record);
  };

  const visitInTime = createVisitsInTime(visit, refusals);

  const rest = (runId: string, error: unknown): boolean => {
    if (onlyRun !== null || !isOfOneRun(error)) return false;
    refusals.add(runId, error, restMs);
    open.delete(runId);
    return true;
  };

  return async () => {
    const listed = onlyRun === null ? await listActiveRuns(context.redis) : [onlyRun];
    for (const runId of open.keys()) if (!listed.includes(runId)) open.delete(runId);
    refusals.forgetAllBut(listed);
    for (const runId of listed) {
      if (onlyRun === null) await visitInTime(runId);
      else await visit(runId);
    }
    await reports.note(listed, (runId) => (open.has(runId) ? null : refusals.shownOf(runId)));
    return [...open.values()].map(({ served }) => served);
  };
}

/** Whoever ended a run may have died before it took it off the list. */
async function unlistEnded(redis: Redis, record: RunRecord): Promise<void> {
  if (hasEnded(record)) await leaveActiveRuns(redis, record.runId, record.keepMs);
}

/** Whether the error is a run's own: of its dataset, or its record. */
function isOfOneRun(error: unknown): boolean {
  const codes = ["RUN_DATASET_CORRUPT", "RUN_RECORD_LOST", "RUN_REPLACED", "RUN_CARRY"] as const;
  return isStorageTrouble(error) || codes.some((code) => isCode(error, code));
}

/** Why this worker must not serve the run, or null. */
function refusalOf({ identity }: RunHead, { model, allowRoots }: RunFinderSettings): Refusal | null {
  if (identity.modelSha256 !== model.modelSha256) {
    const wanted = `${identity.model} in ${identity.precision} with digest ${identity.modelSha256}`;
    const reason = `it needs model ${wanted}, this worker has ${model.name} in ${model.precision} with digest ${model.modelSha256}`;
    return new Refusal(reason, reason);
  }
  if (identity.preprocessSha256 !== model.preprocessSha256) {
    const digests = `${identity.preprocessSha256}, this worker's ${model.name} has ${model.preprocessSha256}`;
    const reason = `it needs model ${identity.model} with preprocessing of digest ${digests}`;
    return new Refusal(reason, reason);
  }
  // Of the others, stdin and buckets, nothing is known here; each item says for itself where it is.
  const local = identity.sources.filter((source) => isAbsolute(source));
  const outside = local.find((source) => !allowRoots.some((root) => isBelow(source, root)));
  if (outside === undefined) return null;
  const where = "is not below an --allow-root of this worker";
  return new Refusal(`its source ${outside} ${where}`, `a source of it ${where}`);
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
