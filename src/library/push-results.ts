import { readCurrentSummary } from "../dataset/current-rows.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import type { SinkTarget } from "../delivery/sink-target.js";
import { openSink } from "../delivery/sinks/open-sink.js";
import { type CallOptions, interruption, resolveCall } from "./context.js";
import { type DeliveriesProgress, startDeliveries } from "./deliveries.js";
import { createDatasetOpener } from "./open-dataset.js";
import { readSinkTargets } from "./sink-targets.js";

export interface PushOptions extends CallOptions {
  /** Urls of sinks: `postgres://…`, `redis://…`, `lancedb:…`. */
  readonly to: readonly string[];
  /** Makes the indexes that searches want, when everything is there. @default false */
  readonly index?: boolean;
  readonly onProgress?: (progress: DeliveriesProgress) => void;
}

export interface PushResult {
  readonly runId: string;
  /** False where the run goes on, and parts committed from now on are not delivered. */
  readonly complete: boolean;
  readonly parts: number;
  readonly sinks: readonly { readonly sink: string; readonly indexes: readonly string[] }[];
}

/**
 * Delivers every part that the dataset in `out` has committed to each of the sinks, what they have already apart: the same as
 * a run's own delivery, and safe beside it. Throws SINK_*, RUN_NOT_A_DATASET, RUN_DATASET_CORRUPT, STORAGE_*, RUN_INTERRUPTED.
 */
export async function pushResults(out: string, given: PushOptions): Promise<PushResult> {
  const { to, index = false, onProgress = () => {}, ...call } = given;
  const context = resolveCall(call);
  const { options, places, log, signal } = context;
  try {
    const targets = readSinkTargets(to, places);
    const storage = createDatasetOpener(context)(out);
    const head = await readRunHead(storage);
    const complete = (await readCurrentSummary(storage)) !== null;
    let parts = 0;
    const count = (progress: DeliveriesProgress) => {
      parts = progress.parts / targets.length;
      onProgress(progress);
    };
    const deliveries = startDeliveries({ targets, storage, head, log, until: "committed", onProgress: count });
    try {
      await Promise.race([deliveries.finish(options.sinkTimeoutMs), interruption(signal)]);
    } finally {
      await deliveries.stop();
    }
    const sinks = [];
    for (const target of targets) {
      if (index) log.info("making indexes", { sink: target.name });
      sinks.push({ sink: target.name, indexes: index ? await makeIndexes(target, head, signal) : [] });
    }
    return { runId: head.runId, complete, parts, sinks };
  } finally {
    context.release();
  }
}

async function makeIndexes(target: SinkTarget, head: RunHead, signal: AbortSignal): Promise<readonly string[]> {
  const sink = await openSink(target, head, signal);
  try {
    return await Promise.race([sink.index(), interruption(signal)]);
  } finally {
    await sink.close();
  }
}
