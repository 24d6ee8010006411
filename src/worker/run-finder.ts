/**
 * Finds the runs that this worker serves, opens the new ones, and ends the finished ones. A run that this worker cannot
 * serve is left to others, with the reason in the log: a node without the mount must not drain a run into failures.
 */
import { sep } from "node:path";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { isStorageTrouble } from "../shared/outages.js";
import { listActiveRuns, type RunRecord, readRun } from "../shared/run-record.js";
import type { ServedRun } from "./consumer.js";
import { finishRun } from "./finish.js";
import type { ModelDescription } from "./model/describe-model.js";
import { openRunDataset, openServedRun, type WorkerContext } from "./served-run.js";

export interface RunFinderSettings {
  readonly context: WorkerContext;
  /** Serves this run alone, and says so if it is lost; null serves every run it can. */
  readonly onlyRun: string | null;
  /** What this worker has loaded. */
  readonly model: Pick<ModelDescription, "name" | "precision" | "modelSha256" | "preprocessSha256">;
  readonly allowRoots: readonly string[];
  readonly log: Log;
}

interface OpenRun {
  readonly served: ServedRun;
  readonly head: RunHead;
  readonly storage: Storage;
}

/** How long a run is left alone whose dataset failed in the middle of the work, and was not back in time. */
const restMs = 60_000;

/** Returns the function that the consumer asks for its runs. Throws RUN_RECORD_LOST where the only run is gone. */
export function createRunFinder(settings: RunFinderSettings): () => Promise<ServedRun[]> {
  const { context, onlyRun, log } = settings;
  const open = new Map<string, OpenRun>();
  const refusals = createRefusals(log);

  const openRun = async (record: RunRecord): Promise<void> => {
    const dataset = await openRunDataset(record);
    const reason = refusalOf(dataset.head, settings);
    if (reason !== null) throw new Error(reason);
    open.set(record.runId, {
      ...dataset,
      served: await openServedRun(dataset, context, (error) => rest(record.runId, error)),
    });
    refusals.forget(record.runId);
    log.debug("serving run", { runId: record.runId, out: record.out });
  };

  const visit = async (runId: string): Promise<void> => {
    if (refusals.isResting(runId)) return;
    const record = await readRun(context.redis, runId);
    const known = open.get(runId);
    const isLost = record === null || (known !== undefined && known.head.epoch !== record.epoch);
    if (isLost && onlyRun !== null)
      throw new LabelmillError("RUN_RECORD_LOST", { runId, reason: "there is no record" });
    if (isLost || record.state === "completed") {
      open.delete(runId);
      return;
    }
    if (known !== undefined) {
      if ((await finishRun(record, { ...known, redis: context.redis })) !== null) open.delete(runId);
      return;
    }
    await openRun(record);
  };

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
      await visit(runId).catch((error: unknown) => {
        if (onlyRun !== null) throw error;
        refusals.add(runId, error);
      });
    }
    return [...open.values()].map(({ served }) => served);
  };
}

/** Whether the error is a run's own: of its dataset, or its record. */
function isOfOneRun(error: unknown): boolean {
  const codes = ["RUN_DATASET_CORRUPT", "RUN_RECORD_LOST", "RUN_REPLACED"] as const;
  return isStorageTrouble(error) || codes.some((code) => isCode(error, code));
}

/** The runs that a worker leaves to others, and why; each reason is logged once. */
function createRefusals(log: Log) {
  const refused = new Map<string, { readonly reason: string; readonly untilMs: number }>();
  return {
    /** One run's trouble, a full disk under its dataset for example, is not the trouble of the others. */
    add(runId: string, error: unknown, forMs = 0): void {
      const reason = messageOf(error);
      if (refused.get(runId)?.reason !== reason) log.warn("cannot serve a run; other workers may", { runId, reason });
      refused.set(runId, { reason, untilMs: Date.now() + forMs });
    },
    isResting: (runId: string): boolean => Date.now() < (refused.get(runId)?.untilMs ?? 0),
    forget: (runId: string): void => void refused.delete(runId),
    forgetAllBut(listed: readonly string[]): void {
      for (const runId of refused.keys()) if (!listed.includes(runId)) refused.delete(runId);
    },
  };
}

/** Why this worker must not serve the run, or null. */
function refusalOf({ identity }: RunHead, { model, allowRoots }: RunFinderSettings): string | null {
  if (identity.modelSha256 !== model.modelSha256) {
    const wanted = `${identity.model} in ${identity.precision} with digest ${identity.modelSha256}`;
    return `it needs model ${wanted}, this worker has ${model.name} in ${model.precision} with digest ${model.modelSha256}`;
  }
  if (identity.preprocessSha256 !== model.preprocessSha256) {
    const digests = `${identity.preprocessSha256}, this worker's ${model.name} has ${model.preprocessSha256}`;
    return `it needs model ${identity.model} with preprocessing of digest ${digests}`;
  }
  // Standard input and web servers are in no directory; what they name is checked item by item.
  const local = identity.sources.filter((source) => source.startsWith("/"));
  const outside = local.find((source) => !allowRoots.some((root) => isBelow(source, root)));
  return outside === undefined ? null : `its source ${outside} is not below an --allow-root of this worker`;
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
