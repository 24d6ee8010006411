/** The delivery of a run that this process works for: beside the work, then to its end. */
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { requireSinks } from "../delivery/sinks/open-sink.js";
import { type CallContext, interruption } from "./context.js";
import { type DeliveriesProgress, startDeliveries } from "./deliveries.js";
import { readSinkTargets } from "./sink-targets.js";

/**
 * Does `work` with deliveries beside it, and waits for them when it has succeeded. Throws what `work` throws, and
 * SINK_BEHIND, RUN_INTERRUPTED.
 */
export type WithDelivery = <T>(dataset: { head: RunHead; storage: Storage }, work: () => Promise<T>) => Promise<T>;

/** Reads the sinks of a call before anything is done. Throws SINK_INVALID, and SINK_MISSING where a package is not here. */
export async function prepareDelivery(
  { options, places, log, signal }: CallContext,
  onDelivery: (progress: DeliveriesProgress) => void,
): Promise<WithDelivery> {
  const targets = readSinkTargets(options.sink, places);
  await requireSinks(targets);
  return async ({ head, storage }, work) => {
    if (targets.length === 0) return work();
    let isWorkDone = false;
    const onProgress = (progress: DeliveriesProgress) => {
      if (isWorkDone) onDelivery(progress);
    };
    const deliveries = startDeliveries({ targets, head, storage, log, until: "complete", onProgress });
    try {
      const done = await work();
      isWorkDone = true;
      await Promise.race([deliveries.finish(options.sinkTimeoutMs), interruption(signal)]);
      return done;
    } finally {
      await deliveries.stop();
    }
  };
}
