import { setTimeout as sleep } from "node:timers/promises";
import { openStorage } from "../dataset/storage/open-storage.js";
import { readSummary } from "../dataset/summary.js";
import type { Start } from "../producer/schedule-book.js";
import { createOutages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { readRun } from "../shared/run-record.js";
import type { CallContext } from "./context.js";

export interface FollowedRun {
  readonly context: CallContext;
  readonly redis: Redis;
  readonly runId: string;
  readonly out: string;
}

const lookEveryMs = 1_000;

/** What became of a run that workers do, once it has ended. The dataset decides: it knows more than a record that is gone. */
export async function followRun(run: FollowedRun): Promise<Partial<Start>> {
  while (true) {
    const record = await readRun(run.redis, run.runId);
    if (record?.state === "cancelled") return { state: "cancelled", ok: record.ok, failed: record.failed };
    if (record === null || record.state === "completed") return readEnd(run);
    await sleep(lookEveryMs, undefined, { signal: run.context.signal });
  }
}

/** Storage that is away just now is waited for, as by whoever writes to it. */
async function readEnd({ context, out }: FollowedRun): Promise<Partial<Start>> {
  const { options, log, signal } = context;
  const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
  const summary = await outages.outlast(() => readSummary(openStorage(out)), signal);
  if (summary === null)
    return { state: "failed", reason: "its record is gone from Redis, and its dataset is not complete" };
  const { items, ok, failed } = summary;
  // It may have been about to be cancelled.
  return { state: "completed", reason: null, items, ok, failed };
}
