import { runFolders } from "../dataset/layout.js";
import { type RunHead, rowsRunId } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { type Summary, writeSummary } from "../dataset/summary.js";
import type { Redis } from "../shared/redis.js";
import { completeRun, type RunRecord, type StageBusy } from "../shared/run-record.js";

export interface FinishContext {
  readonly redis: Redis;
  readonly head: RunHead;
  readonly storage: Storage;
}

/**
 * Writes the summary of a run whose every chunk is counted, and ends its record. Level-triggered: any process may call it
 * at any time, and again; for a run that is not so far it does nothing and returns null.
 */
export async function finishRun(record: RunRecord, { redis, head, storage }: FinishContext): Promise<Summary | null> {
  if (record.state !== "finalizing" && record.state !== "completed") return null;
  const summary = await writeSummary(storage, summarize(record, head));
  // Only now: every file of the dataset is there, so a writer that loses its temporary file finds that it came too late.
  if (record.state === "finalizing") await storage.sweep(runFolders);
  await completeRun(redis, head);
  return summary;
}

/** Of a retry: of the dataset that it mends, as it is from then on. */
function summarize(record: RunRecord, head: RunHead): Summary {
  const { identity } = head;
  const seconds = workSeconds(record);
  return {
    runId: rowsRunId(head),
    status: "completed",
    items: record.items,
    ok: record.ok,
    failed: record.failed,
    failuresByCode: record.failuresByCode,
    duplicates: record.duplicates,
    carried: record.carried,
    seconds: round(seconds),
    imagesPerSecond: seconds > 0 ? round(record.made / seconds) : 0,
    engines: record.engines,
    whyEngines: record.whyEngines,
    precision: identity.precision,
    model: identity.model,
    modelSha256: identity.modelSha256,
    boundBy: busiestStage(record.busy),
    stageShares: stageShares(record.busy),
    out: identity.retry === undefined ? record.out : (identity.against?.out ?? record.out),
  };
}

const stageNames = { fetchMs: "fetch", decodeMs: "decode", inferMs: "inference" } as const;

/** From the making of the record to the last part's count, without pauses. */
export function workSeconds({ createdAtMs, committedAtMs, pausedMs }: RunRecord): number {
  return Math.max(0, (committedAtMs ?? createdAtMs) - createdAtMs - pausedMs) / 1000;
}

/** The stage with the largest share of its time busy, or null where none was measured. */
export function busiestStage(busy: StageBusy): string | null {
  const stages = Object.keys(stageNames) as (keyof typeof stageNames)[];
  const busiest = stages.reduce((a, b) => (busy[b] > busy[a] ? b : a));
  return busy[busiest] > 0 ? stageNames[busiest] : null;
}

/** By stage, how much it did of what it could have done at once while workers had chunks in hand, from 0 to 1; empty where nothing was measured. */
export function stageShares(busy: StageBusy): Record<string, number> {
  if (busy.workMs === 0) return {};
  const shares = Object.entries(stageNames).map(([key, name]) => {
    const share = busy[key as keyof typeof stageNames] / busy.workMs;
    return [name, round(Math.min(1, share))] as const;
  });
  return Object.fromEntries(shares);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
