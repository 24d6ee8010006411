/**
 * Waiting for what passes by itself: storage that is full, read-only or gone, and a Redis that answers but refuses, for
 * example at its memory limit. (A Redis that does not answer at all needs nothing here: commands wait in their connection.)
 * Whoever has work that such trouble interrupts calls `outlast`; the log says once what all of them wait for.
 */
import { LabelmillError, messageOf } from "./errors.js";
import type { Log } from "./log.js";
import { isRefusal } from "./redis.js";

export interface Outages {
  /**
   * Calls `action`, a single step that may be repeated, until it does not fail with trouble that may pass. Rejects with any
   * other error at once, with `signal.reason` where that aborts, and where storage is not back in time with its error. A
   * Redis that refuses is waited for without end, like one that is away. `about` names in the log what waits first.
   */
  outlast<T>(action: () => Promise<T>, signal: AbortSignal, about?: Readonly<Record<string, unknown>>): Promise<T>;
  /** Whether somebody waits now, and when the last wait ended, by `performance.now`. */
  waits(): { readonly isNow: boolean; readonly untilMs: number };
}

const firstWaitMs = 100;
const longestWaitMs = 5_000;
const remindEveryMs = 30_000;

export function createOutages({ storageTimeoutMs, log }: { storageTimeoutMs: number; log: Log }): Outages {
  const reporter = createReporter(log);
  return {
    waits: reporter.waits,
    async outlast(action, signal, about = {}) {
      let storageSinceMs: number | null = null;
      let waitMs = firstWaitMs;
      let waiter: Waiter | null = null;
      /** Milliseconds that this error is still waited for; 0 where waiting does not help. */
      const patience = (error: unknown): number => {
        // Redis was reached again, or is what fails now: either way storage has not failed all the time.
        if (!isStorageTrouble(error)) storageSinceMs = null;
        if (isRefusal(error)) return Number.POSITIVE_INFINITY;
        if (!isStorageTrouble(error)) return 0;
        storageSinceMs ??= performance.now();
        return storageSinceMs + storageTimeoutMs - performance.now();
      };
      let hasPassed = false;
      try {
        while (true) {
          try {
            const result = await action();
            hasPassed = true;
            return result;
          } catch (error) {
            const leftMs = patience(error);
            if (leftMs <= 0) throw error;
            waiter ??= reporter.join();
            waiter.say(messageOf(error), about);
            await pause(Math.min(waitMs, leftMs), signal);
            waitMs = Math.min(waitMs * 2, longestWaitMs);
          }
        }
      } finally {
        waiter?.leave(hasPassed);
      }
    },
  };
}

/** Whether the error is trouble with the place of a dataset, rather than with what is in it. */
export function isStorageTrouble(error: unknown): boolean {
  return error instanceof LabelmillError && error.code.startsWith("STORAGE_");
}

interface Waiter {
  say(reason: string, about: Readonly<Record<string, unknown>>): void;
  leave(hasPassed: boolean): void;
}

/** One outage is one line in the log, however many wait for its end; a reminder now and then, and a line at its end. */
function createReporter(log: Log): { join(): Waiter; waits: Outages["waits"] } {
  let waiting = 0;
  let sinceMs = 0;
  let saidMs = 0;
  let untilMs = 0;
  return {
    waits: () => ({ isNow: waiting > 0, untilMs }),
    join() {
      if (waiting === 0) sinceMs = performance.now();
      waiting += 1;
      return {
        say(reason, about) {
          const isFirst = saidMs < sinceMs;
          if (!isFirst && performance.now() - saidMs < remindEveryMs) return;
          saidMs = performance.now();
          log.warn(`waiting: ${reason}`, isFirst ? about : { ...about, forSeconds: secondsSince(sinceMs) });
        },
        leave(hasPassed) {
          waiting -= 1;
          untilMs = performance.now();
          const message = hasPassed ? "no longer waiting" : "gave up waiting";
          if (waiting === 0) log.info(message, { afterSeconds: secondsSince(sinceMs) });
        },
      };
    },
  };
}

function secondsSince(ms: number): number {
  return Math.round((performance.now() - ms) / 1000);
}

/** Sleeps; rejects with the signal's reason where it aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      settle();
    };
    const abort = () => end(() => reject(signal.reason));
    const timer = setTimeout(() => end(resolve), ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
