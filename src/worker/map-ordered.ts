import { unlessAborted } from "../shared/unless-aborted.js";
import type { Slots } from "./slots.js";

export interface MapOrderedSettings<T, U> {
  /** The process's limit for this kind of work. */
  readonly slots: Slots;
  /** Rank among the users of `slots`; lower goes first. */
  readonly order: number;
  /** Stops taking from the source; what has started ends by itself. */
  readonly signal: AbortSignal;
  /** `release` gives the slot back early, for work that goes on without; else it is given back at the end. */
  readonly work: (value: T, release: () => void) => Promise<U>;
}

/**
 * Maps `source` with as many calls at once as `slots` allow, and yields the results in the source's order. Runs ahead of
 * its consumer, so stages chained this way overlap. An error of the source or of `work` is thrown at its turn.
 */
export function mapOrdered<T, U>(
  source: AsyncIterable<T> | Iterable<T>,
  settings: MapOrderedSettings<T, U>,
): AsyncGenerator<U> {
  return map(source, settings, true);
}

/** As `mapOrdered`, but yields each result as soon as there is one, so that a slow value holds up no other. */
export function mapAsDone<T, U>(
  source: AsyncIterable<T> | Iterable<T>,
  settings: MapOrderedSettings<T, U>,
): AsyncGenerator<U> {
  return map(source, settings, false);
}

async function* map<T, U>(
  source: AsyncIterable<T> | Iterable<T>,
  { slots, order, signal, work }: MapOrderedSettings<T, U>,
  inOrder: boolean,
): AsyncGenerator<U> {
  /** What is to be yielded next, in that order. */
  const started: Promise<U>[] = [];
  let unlisted = 0;
  let isOver = false;
  let ended = false;
  let wake = () => {};
  const put = (result: Promise<U>) => {
    // Thrown where it is awaited below; until then it must not count as unhandled.
    result.catch(() => {});
    unlisted += 1;
    const list = () => {
      unlisted -= 1;
      started.push(result);
      wake();
    };
    if (inOrder) list();
    else void result.then(list, list);
  };
  const pump = async () => {
    for await (const value of source) {
      const release = await slots.acquire(order);
      if (isOver || signal.aborted) return release();
      put(work(value, release).finally(release));
    }
  };
  void pump()
    .catch((error: unknown) => put(Promise.reject(error)))
    .finally(() => {
      ended = true;
      wake();
    });
  try {
    while (true) {
      signal.throwIfAborted();
      const next = started.shift();
      if (next !== undefined) {
        yield await unlessAborted(next, signal);
      } else {
        if (ended && unlisted === 0) return;
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await unlessAborted(more, signal);
      }
    }
  } finally {
    isOver = true;
  }
}
