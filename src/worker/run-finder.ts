/**
 * Finds the runs that this worker serves, opens the new ones, and ends the finished ones. A run that this worker cannot
 * serve is left to others, with the reason in the log: a node without the mount must not drain a run into failures.
 */
import { sep } from "node:path";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { listActiveRuns, type RunRecord, readRun } from "../shared/run-record.js";
import type { ServedRun } from "./consumer.js";
import { finishRun } from "./finish.js";
import { openRunDataset, openServedRun, type WorkerContext } from "./served-run.js";

export interface RunFinderSettings {
  readonly context: WorkerContext;
  /** Serves this run alone, and says so if it is lost; null serves every run it can. */
  readonly onlyRun: string | null;
  /** Of the model that this worker has loaded. */
  readonly modelSha256: string;
  readonly allowRoots: readonly string[];
  readonly log: Log;
}

interface OpenRun {
  readonly served: ServedRun;
  readonly head: RunHead;
  readonly storage: Storage;
}

/** Returns the function that the consumer asks for its runs. Throws RUN_RECORD_LOST where the only run is gone. */
export function createRunFinder(settings: RunFinderSettings): () => Promise<ServedRun[]> {
  const { context, onlyRun, log } = settings;
  const open = new Map<string, OpenRun>();
  const refused = new Map<string, string>();

  const openRun = async (record: RunRecord): Promise<void> => {
    const dataset = await openRunDataset(record);
    const reason = refusalOf(dataset.head, settings);
    if (reason !== null) throw new Error(reason);
    open.set(record.runId, { ...dataset, served: await openServedRun(dataset, context) });
    refused.delete(record.runId);
    log.debug("serving run", { runId: record.runId, out: record.out });
  };

  const visit = async (runId: string): Promise<void> => {
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

  /** One run's trouble, a full disk under its dataset for example, is not the trouble of the others. */
  const leave = (runId: string, error: unknown): void => {
    const reason = messageOf(error);
    if (refused.get(runId) !== reason) log.warn("cannot serve a run; other workers may", { runId, reason });
    refused.set(runId, reason);
  };

  return async () => {
    const listed = onlyRun === null ? await listActiveRuns(context.redis) : [onlyRun];
    for (const known of [open, refused]) {
      for (const runId of known.keys()) if (!listed.includes(runId)) known.delete(runId);
    }
    for (const runId of listed) {
      await visit(runId).catch((error: unknown) => {
        if (onlyRun !== null) throw error;
        leave(runId, error);
      });
    }
    return [...open.values()].map(({ served }) => served);
  };
}

/** Why this worker must not serve the run, or null. */
function refusalOf({ identity }: RunHead, { modelSha256, allowRoots }: RunFinderSettings): string | null {
  if (identity.modelSha256 !== modelSha256) {
    return `it needs model ${identity.model} with digest ${identity.modelSha256}, this worker has ${modelSha256}`;
  }
  const outside = identity.sources.find((source) => !allowRoots.some((root) => isBelow(source, root)));
  return outside === undefined ? null : `its source ${outside} is not below an --allow-root of this worker`;
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
