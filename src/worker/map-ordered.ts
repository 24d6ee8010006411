import type { Slots } from "./slots.js";

export interface MapOrderedSettings<T, U> {
  /** The process's limit for this kind of work. */
  readonly slots: Slots;
  /** Rank among the users of `slots`; lower goes first. */
  readonly order: number;
  /** Stops taking from the source; what has started ends by itself. */
  readonly signal: AbortSignal;
  readonly work: (value: T) => Promise<U>;
}

/**
 * Maps `source` with as many calls at once as `slots` allow, and yields the results in the source's order. Runs ahead of
 * its consumer, so stages chained this way overlap. An error of the source or of `work` is thrown at its turn.
 */
export async function* mapOrdered<T, U>(
  source: AsyncIterable<T> | Iterable<T>,
  { slots, order, signal, work }: MapOrderedSettings<T, U>,
): AsyncGenerator<U> {
  const started: Promise<U>[] = [];
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  let ended = false;
  let wake = () => {};
  const put = (result: Promise<U>) => {
    // Thrown where it is awaited below; until then it must not count as unhandled.
    result.catch(() => {});
    started.push(result);
    wake();
  };
  const pump = async () => {
    for await (const value of source) {
      const release = await slots.acquire(order);
      if (stopped.aborted) return release();
      put(work(value).finally(release));
    }
  };
  void pump()
    .catch((error: unknown) => put(Promise.reject(error)))
    .finally(() => {
      ended = true;
      wake();
    });
  const interruption = rejectOnAbort(stopped);
  try {
    while (true) {
      stopped.throwIfAborted();
      const next = started.shift();
      if (next !== undefined) {
        yield await Promise.race([next, interruption]);
      } else {
        if (ended) return;
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([more, interruption]);
      }
    }
  } finally {
    stop.abort();
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  // Raced against while the generator is read; afterwards nobody is left to hear it.
  aborted.catch(() => {});
  return aborted;
}
