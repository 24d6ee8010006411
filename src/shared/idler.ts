/** Waits that can be ended early. */
export interface Idler {
  /** Resolves after `ms`, or at `end`, or once the signal aborts; at once where `end` was called since the last wait. */
  wait(ms: number): Promise<void>;
  end(): void;
}

/** An idler whose waits a signal ends for good. Leaves no timer and no listener behind. */
export function createIdler(signal: AbortSignal): Idler {
  let isEnded = false;
  let wake = () => {};
  const end = () => {
    isEnded = true;
    wake();
  };
  signal.addEventListener("abort", end, { once: true });
  return {
    async wait(ms) {
      if (!isEnded && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      isEnded = false;
    },
    end,
  };
}
