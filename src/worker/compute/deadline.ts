/** A time limit that runs until it is cancelled. */
export interface Deadline {
  /** Starts the time anew. */
  renew(): void;
  cancel(): void;
}

/**
 * How long an event that is already there gets to be delivered. A process that was stopped and continued (a laptop's lid, a
 * paused container) finds its timer run out together with the news that it waited for, and timers come first.
 */
const graceMs = 500;

/** Calls `onPassed` once when `ms` milliseconds, and a little grace, have passed without a `renew` or `cancel`. */
export function startDeadline(ms: number, onPassed: () => void): Deadline {
  let timer: NodeJS.Timeout | undefined;
  const renew = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = setTimeout(onPassed, graceMs);
    }, ms);
  };
  renew();
  return { renew, cancel: () => clearTimeout(timer) };
}
