/** Waits that can be ended early. */
export interface Idler {
  /** Resolves after `ms`, or at `end`, or once the signal aborts. */
  wait(ms: number): Promise<void>;
  /** Ends the wait of now, if there is one. */
  end(): void;
}

/** An idler whose waits a signal ends for good. Leaves no timer and no listener behind. */
export function createIdler(signal: AbortSignal): Idler {
  let end = () => {};
  signal.addEventListener("abort", () => end(), { once: true });
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, signal.aborted ? 0 : ms);
        end = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    end: () => end(),
  };
}
