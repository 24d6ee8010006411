/** Whether a process is alive, which is progress and not mere running, and whether it is ready for work. */
import type { Redis } from "../../shared/redis.js";

/** An answer to a probe, with a line for whoever reads it. */
export interface Verdict {
  readonly ok: boolean;
  readonly says: string;
}

/** What is known of a worker's progress, times by `performance.now`. */
export interface Progress {
  readonly nowMs: number;
  readonly stepAtMs: number;
  readonly chunksInHand: number;
  /** Whether it waits for what passes by itself, and says so in its log. */
  readonly isWaiting: boolean;
  /** When the last such wait ended. */
  readonly waitedUntilMs: number;
  readonly stallTimeoutMs: number;
}

/**
 * Not alive is a worker that has made no step for `stallTimeoutMs`: with chunks in hand a step is an item fetched, a row made, a
 * part committed; without, it is an answer of Redis to the question for work. A wait for storage or Redis does not count.
 */
export function judgeProgress(progress: Progress): Verdict {
  const { nowMs, stepAtMs, chunksInHand, isWaiting, waitedUntilMs, stallTimeoutMs } = progress;
  const doing = chunksInHand === 0 ? "no chunk in hand" : `${chunksInHand} chunks in hand`;
  if (isWaiting) return { ok: true, says: `${doing}, waiting for storage or Redis; the log says which` };
  const quietMs = nowMs - Math.max(stepAtMs, waitedUntilMs);
  const ok = quietMs <= stallTimeoutMs;
  return { ok, says: `${doing}, ${ok ? "" : "stuck: "}last step ${(quietMs / 1000).toFixed(1)} s ago` };
}

const answerWithinMs = 2_000;

/** Whether Redis answers within 2 s. Only one question is open at a time, however many ask and however long it is silent. */
export function createRedisCheck(redis: Pick<Redis, "ping" | "status">): () => Promise<boolean> {
  let asking: Promise<boolean> | null = null;
  return async () => {
    // A command to a connection that is down would wait in it.
    if (redis.status !== "ready") return false;
    asking ??= redis
      .ping()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        asking = null;
      });
    return within(asking, answerWithinMs, false);
  };
}

/** What `promise` comes to, or `otherwise` where that takes longer. */
export async function within<T>(promise: Promise<T>, ms: number, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
