import { messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { isRefusal } from "../shared/redis.js";
import type { WorkerMeter } from "./health/meter.js";
import type { TakenChunk } from "./run-queue.js";

/** The lock of a chunk is gone, so its work is no longer ours. */
export class LockLost extends Error {}

export interface LockContext {
  readonly lockMs: number;
  readonly meter: WorkerMeter;
  /** Names the chunk on each line. */
  readonly log: Log;
}

/** Renews a lock three times in its lifetime until released; its signal aborts with `LockLost` when the lock is lost. */
export function keepLock(
  taken: TakenChunk,
  { lockMs, meter, log }: LockContext,
): { signal: AbortSignal; release(): void } {
  const lost = new AbortController();
  let renewedMs = performance.now();
  const renew = async () => {
    try {
      if (!(await taken.renewLock())) {
        meter.lockNotRenewed();
        return lost.abort(new LockLost());
      }
      renewedMs = performance.now();
    } catch (error) {
      meter.lockNotRenewed();
      // A Redis that refuses lets nobody else take the chunk either; the log has it already, from whoever waits for it.
      if (isRefusal(error)) {
        renewedMs = performance.now();
        return;
      }
      log.warn("could not renew the lock of a chunk", { error: messageOf(error) });
      if (performance.now() - renewedMs > lockMs) lost.abort(new LockLost());
    }
  };
  // A chunk that a silent Redis never takes back must not keep the process alive.
  const timer = setInterval(() => void renew(), lockMs / 3).unref();
  return { signal: lost.signal, release: () => clearInterval(timer) };
}
