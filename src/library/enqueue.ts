import type { Sealed } from "../dataset/items.js";
import { createRunHead, type RunHead } from "../dataset/run-head.js";
import { openRunStorage } from "../dataset/run-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import { enqueueRun } from "../producer/enqueue.js";
import type { Source } from "../producer/source/source.js";
import { createOutages } from "../shared/outages.js";
import { requireRun } from "../shared/run-record.js";
import { describeModel } from "../worker/model/describe-model.js";
import { type CallContext, type CallOptions, interruption, resolveCall, unlessInterrupted } from "./context.js";
import { findFinished } from "./finished.js";
import { openCall, requireItemsOnce } from "./open-call.js";
import { createDatasetOpener } from "./open-dataset.js";
import { createPauseNotice, registerAsWished } from "./register.js";
import { type RunRedis, requireRedis } from "./run-redis.js";
import { readSinkTargets } from "./sink-targets.js";
import { readWebAccess } from "./web-access.js";

export interface EnqueueOptions extends CallOptions {
  /** Called after each pinned segment, with the totals so far. */
  readonly onPinned?: (pinned: { items: number; chunks: number }) => void;
}

export interface EnqueueResult {
  readonly runId: string;
  readonly out: string;
  readonly items: number;
  readonly chunks: number;
  /** Entries of the source that are no items, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** The dataset was complete before; nothing was queued. */
  readonly wasComplete: boolean;
}

/**
 * Pins the items of `sources` and queues them for workers elsewhere; needs neither an engine nor the weights of a catalog model. The same call
 * goes on where it was interrupted. Throws `LabelmillError`: OPTION_*, RUN_*, REDIS_*, STORAGE_*, MODEL_UNKNOWN.
 */
export async function enqueue(sources: string | readonly string[], given: EnqueueOptions = {}): Promise<EnqueueResult> {
  const { onPinned = () => {}, ...call } = given;
  const context = resolveCall(call);
  try {
    return await enqueueIn(context, [sources].flat(), onPinned);
  } finally {
    context.release();
  }
}

async function enqueueIn(
  context: CallContext,
  sources: readonly string[],
  onPinned: NonNullable<EnqueueOptions["onPinned"]>,
): Promise<EnqueueResult> {
  const { options, places } = context;
  // Throws for a url that no worker could deliver to, before anything is written.
  readSinkTargets(options.sink, places);
  const model = await describeModel(places.cacheDir, options.model, options.precision);
  const web = await readWebAccess(options, places);
  const submission = await openCall(context, sources, { model, web });
  const { source, identity } = submission;
  const place = createDatasetOpener(context)(submission.out);
  const finished = await unlessInterrupted(context.signal, findFinished(place, identity));
  if (finished !== null) {
    return {
      runId: finished.runId,
      out: place.location,
      items: finished.items,
      chunks: 0,
      leftOut: {},
      wasComplete: true,
    };
  }
  await requireItemsOnce(context, submission, place, sources.join(", "));
  const redis = await requireRedis(context);
  try {
    const { head } = await unlessInterrupted(context.signal, createRunHead(place, identity));
    const storage = openRunStorage(place, head);
    // A silent Redis answers nothing, so the interrupt must not wait for it; closing the connection ends the rest.
    const producing = produce(context, { head, storage, redis, source, onPinned });
    const { items, chunks, leftOut } = await Promise.race([producing, interruption(context.signal)]);
    return { runId: head.runId, out: storage.location, items, chunks, leftOut, wasComplete: false };
  } finally {
    await redis.close({ discard: false });
  }
}

interface Producing {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly redis: RunRedis;
  readonly source: Source;
  readonly onPinned: NonNullable<EnqueueOptions["onPinned"]>;
}

async function produce({ options, places, log, signal }: CallContext, { redis, ...run }: Producing): Promise<Sealed> {
  const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
  await registerAsWished({ options, places, log, redis, outages, ...run }, signal);
  const sealed = await enqueueRun({ ...run, redis: redis.redis, outages, signal });
  const record = await outages.outlast(() => requireRun(redis.redis, run.head), signal);
  createPauseNotice(log, run.head.runId)(record.state);
  return sealed;
}
