import type { StageBusy } from "../shared/run-record.js";
import type { ComputeClient } from "./compute-client/client.js";
import { Slots } from "./slots.js";

export interface LimitSettings {
  /** Decodes at once, of all compute children. */
  readonly decodeConcurrency: number;
  /** Most images in a model call. */
  readonly batchSize: number;
  readonly children: number;
}

/** What all chunks of one worker process share. */
export interface ProcessLimits {
  readonly fetchSlots: Slots;
  readonly predictSlots: Slots;
  /** Counts bytes that are fetched and not yet answered for; call with a negative number to let them go. */
  holdBytes(delta: number): void;
  /** Adds to the time spent fetching. */
  addFetchTime(ms: number): void;
  /**
   * Time that each stage was busy since the last call, in milliseconds, divided by how many it may do at once: the stage
   * with the largest share is the one that bounds the speed.
   */
  takeBusy(): StageBusy;
}

/** Enough to hide the latency of a disk; remote places will want more. */
const fetchConcurrency = 16;
/** Encoded bytes held ahead of the decoder, across chunks: no new fetch starts above this; those under way may end. */
const mostHeldBytes = 256 * 2 ** 20;

export function createProcessLimits(
  { decodeConcurrency, batchSize, children }: LimitSettings,
  compute: ComputeClient,
): ProcessLimits {
  let held = 0;
  let fetchMs = 0;
  let reported = compute.times();
  const fetchSlots = new Slots(fetchConcurrency, () => held < mostHeldBytes);
  return {
    fetchSlots,
    // One batch in each model, one filling behind it, and the decoders at work: more would only hold memory.
    predictSlots: new Slots(decodeConcurrency + 2 * batchSize * children),
    holdBytes(delta) {
      held += delta;
      if (delta < 0) fetchSlots.wake();
    },
    addFetchTime(ms) {
      fetchMs += ms;
    },
    takeBusy() {
      const times = compute.times();
      const busy = {
        fetchMs: fetchMs / fetchConcurrency,
        decodeMs: (times.decodeMs - reported.decodeMs) / decodeConcurrency,
        inferMs: (times.inferMs - reported.inferMs) / children,
      };
      reported = times;
      fetchMs = 0;
      return busy;
    },
  };
}
