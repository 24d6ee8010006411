/**
 * Settles as `task` does, or rejects with the signal's reason as soon as that aborts; `onLate` is then given what came too late,
 * and an error that comes too late is no one's. Not a race against one promise of the signal: that would keep every value that
 * it was raced with until it settles itself.
 */
export function unlessAborted<T>(
  task: Promise<T>,
  signal: AbortSignal,
  onLate: (value: T) => void = () => {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      task.then(onLate, () => {});
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    void task.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
