import type { StageTimes } from "./protocol.js";

/** Sums where the child's time goes, until it is taken. */
export interface Tally {
  addDecode(ms: number): void;
  addBatch(inferMs: number, images: number): void;
  /** What was added since the last take. */
  take(): StageTimes;
}

const nothing: StageTimes = { decodeMs: 0, inferMs: 0, batches: 0, images: 0 };

/** An empty tally. */
export function createTally(): Tally {
  let times = nothing;
  return {
    addDecode(ms) {
      times = addTimes(times, { ...nothing, decodeMs: ms });
    },
    addBatch(inferMs, images) {
      times = addTimes(times, { ...nothing, inferMs, batches: 1, images });
    },
    take() {
      const taken = times;
      times = nothing;
      return taken;
    },
  };
}

/** The sum of two reports. */
export function addTimes(a: StageTimes, b: StageTimes): StageTimes {
  return {
    decodeMs: a.decodeMs + b.decodeMs,
    inferMs: a.inferMs + b.inferMs,
    batches: a.batches + b.batches,
    images: a.images + b.images,
  };
}
