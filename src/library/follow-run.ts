import { setTimeout as sleep } from "node:timers/promises";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary } from "../dataset/summary.js";
import type { Start } from "../producer/schedule-book.js";
import type { Redis } from "../shared/redis.js";
import { readRun } from "../shared/run-record.js";

export interface FollowedRun {
  readonly redis: Redis;
  readonly runId: string;
  readonly out: string;
  readonly openStorage: (location: string) => Storage;
  readonly signal: AbortSignal;
}

const lookEveryMs = 1_000;

/** What became of a run that workers do, once it has ended. The dataset decides: it knows more than a record that is gone. */
export async function followRun(run: FollowedRun): Promise<Partial<Start>> {
  while (true) {
    const record = await readRun(run.redis, run.runId);
    if (record?.state === "cancelled") return { state: "cancelled", ok: record.ok, failed: record.failed };
    if (record === null || record.state === "completed") return readEnd(run);
    await sleep(lookEveryMs, undefined, { signal: run.signal });
  }
}

async function readEnd({ out, openStorage }: FollowedRun): Promise<Partial<Start>> {
  const summary = await readSummary(openStorage(out));
  if (summary === null)
    return { state: "failed", reason: "its record is gone from Redis, and its dataset is not complete" };
  const { items, ok, failed } = summary;
  return { state: "completed", items, ok, failed };
}
