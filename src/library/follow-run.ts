import { setTimeout as sleep } from "node:timers/promises";
import { openRunStorage, readOwnHead } from "../dataset/run-storage.js";
import { readSummary } from "../dataset/summary.js";
import { requeueLostChunks } from "../producer/enqueue.js";
import type { Start } from "../producer/schedule-book.js";
import { isCode } from "../shared/errors.js";
import { createOutages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { type RunRecord, readRun } from "../shared/run-record.js";
import type { CallContext } from "./context.js";
import { createDatasetOpener } from "./open-dataset.js";

export interface FollowedRun {
  readonly context: CallContext;
  readonly redis: Redis;
  readonly runId: string;
  readonly out: string;
}

const lookEveryMs = 1_000;
const repairEveryMs = 5_000;

/**
 * What became of a run that workers do, once it has ended. The dataset decides: it knows more than a record that is gone.
 * Chunks whose jobs were lost are queued again: nobody else is there to repeat the submission. Null where that is to be
 * repeated: a Redis that was killed came back without the last of it.
 */
export async function followRun(run: FollowedRun): Promise<Partial<Start> | null> {
  let repairAtMs = performance.now() + repairEveryMs;
  while (true) {
    const record = await readRun(run.redis, run.runId);
    if (record?.state === "cancelled") return { state: "cancelled", ok: record.ok, failed: record.failed };
    if (record === null || record.state === "completed") return readEnd(run);
    if (performance.now() > repairAtMs) {
      if (!record.isSealed) return null;
      await requeue(run, record);
      repairAtMs = performance.now() + repairEveryMs;
    }
    await sleep(lookEveryMs, undefined, { signal: run.context.signal });
  }
}

/** Does nothing where the dataset is not to be seen just now. Throws RUN_REPLACED, STORAGE_*. */
async function requeue({ context, redis, out }: FollowedRun, record: RunRecord): Promise<void> {
  const { options, log, signal } = context;
  const place = createDatasetOpener(context)(out);
  const queueLost = async () => {
    const head = await readOwnHead(place, record);
    return requeueLostChunks({ head, storage: openRunStorage(place, head), redis });
  };
  try {
    const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
    const chunks = await outages.outlast(queueLost, signal);
    if (chunks > 0) log.warn("queued lost chunks again", { runId: record.runId, chunks });
  } catch (error) {
    if (!isCode(error, "RUN_NOT_A_DATASET")) throw error;
  }
}

/** Storage that is away just now is waited for, as by whoever writes to it. */
async function readEnd({ context, out }: FollowedRun): Promise<Partial<Start>> {
  const { options, log, signal } = context;
  const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
  const summary = await outages.outlast(() => readSummary(createDatasetOpener(context)(out)), signal);
  if (summary === null)
    return { state: "failed", reason: "its record is gone from Redis, and its dataset is not complete" };
  const { items, ok, failed } = summary;
  // It may have been about to be cancelled.
  return { state: "completed", reason: null, items, ok, failed };
}
