import type { StageBusy } from "../shared/run-record.js";
import type { ComputeClient } from "./compute-client/client.js";
import type { FetchPlace } from "./fetch/fetcher.js";
import { Slots } from "./slots.js";

export interface LimitSettings {
  /** Decodes at once, of all compute children. */
  readonly decodeConcurrency: number;
  /** Most images in a model call. */
  readonly batchSize: number;
  readonly children: number;
  /** Requests to web servers at once. */
  readonly fetchConcurrency: number;
}

/** What all chunks of one worker process share. */
export interface ProcessLimits {
  /** Items that are fetched, or wait for the host that they are on. */
  readonly aheadSlots: Slots;
  readonly predictSlots: Slots;
  /** Fetches at once, of files and from web servers. */
  readonly fetchesAtOnce: number;
  /** Runs one fetch, as far as `isStarving` is concerned. */
  fetching<T>(fetch: () => Promise<T>): Promise<T>;
  /** Whether decoder and model could take more than comes, as what is in hand waits for web servers. */
  isStarving(): boolean;
  /** Counts bytes that are fetched and not yet answered for; call with a negative number to let them go. */
  holdBytes(delta: number): void;
  /** Resolves when one more fetch may start; the time until its release counts as spent fetching. */
  admitFetch(place: FetchPlace, order: number): Promise<() => void>;
  /** A chunk is in hand until what it returns is called. */
  working(): () => void;
  /**
   * Time that each stage was busy since the last call, in milliseconds, divided by how many it may do at once: the stage
   * with the largest share is the one that bounds the speed.
   */
  takeBusy(): StageBusy;
}

/** Files read at once: enough to hide the latency of a disk. */
const diskConcurrency = 16;
/**
 * How far fetching looks ahead, in items, all chunks together. Each that waits is a few hundred bytes; the more may wait,
 * the more items of slow hosts it takes until the others are held up.
 */
const mostItemsAhead = 4096;
/** Encoded bytes held ahead of the decoder, across chunks: no new fetch starts above this; those under way may end. */
const mostHeldBytes = 256 * 2 ** 20;

export function createProcessLimits(
  { decodeConcurrency, batchSize, children, fetchConcurrency }: LimitSettings,
  compute: ComputeClient,
): ProcessLimits {
  let held = 0;
  let fetches = 0;
  let fetchMs = 0;
  const work = createWorkClock();
  let reported = compute.times();
  const mayFetch = () => held < mostHeldBytes;
  const concurrency = { disk: diskConcurrency, network: fetchConcurrency };
  const fetchSlots = {
    disk: new Slots(concurrency.disk, mayFetch),
    network: new Slots(concurrency.network, mayFetch),
  };
  // One batch in each model, one filling behind it, and the decoders at work: more would only hold memory.
  const predictSlots = new Slots(decodeConcurrency + 2 * batchSize * children);
  return {
    aheadSlots: new Slots(mostItemsAhead),
    predictSlots,
    fetchesAtOnce: concurrency.disk + concurrency.network,
    fetching(fetch) {
      fetches += 1;
      return fetch().finally(() => {
        fetches -= 1;
      });
    },
    isStarving: () => fetches > 0 && !predictSlots.isFull && fetchSlots.disk.isIdle && mayFetch(),
    holdBytes(delta) {
      held += delta;
      if (delta >= 0) return;
      fetchSlots.disk.wake();
      fetchSlots.network.wake();
    },
    async admitFetch(place, order) {
      const release = await fetchSlots[place].acquire(order);
      const startedMs = performance.now();
      return () => {
        fetchMs += (performance.now() - startedMs) / concurrency[place];
        // The bytes just fetched are counted by then, and may leave no room for the next.
        setImmediate(release);
      };
    },
    working: work.begin,
    takeBusy() {
      const times = compute.times();
      const busy = {
        fetchMs,
        decodeMs: (times.decodeMs - reported.decodeMs) / decodeConcurrency,
        inferMs: (times.inferMs - reported.inferMs) / children,
        workMs: work.take(),
      };
      reported = times;
      fetchMs = 0;
      return busy;
    },
  };
}

/** Counts the time in which anything is at work, however much. */
function createWorkClock(): { begin(): () => void; take(): number } {
  let atWork = 0;
  let workMs = 0;
  let untilMs = 0;
  const count = (change: number) => {
    const nowMs = performance.now();
    if (atWork > 0) workMs += nowMs - untilMs;
    untilMs = nowMs;
    atWork += change;
  };
  return {
    begin() {
      count(1);
      return () => count(-1);
    },
    /** Since it was taken last. */
    take() {
      count(0);
      const taken = workMs;
      workMs = 0;
      return taken;
    },
  };
}
