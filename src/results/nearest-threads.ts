import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Storage } from "../dataset/storage/storage.js";
import { errorFromAfar, type RunErrorCode } from "../shared/errors.js";
import { findNearest, mergeNearest, type NearestQuery, type Neighbour } from "./nearest.js";

/** What one thread is given. */
export interface NearestTask {
  readonly location: string;
  readonly paths: readonly string[];
  readonly query: NearestQuery;
}

export type NearestAnswer =
  | { readonly neighbours: readonly Neighbour[] }
  | { readonly code: RunErrorCode; readonly message: string };

/** A thread takes 0.2 s to start, which is about what these take it. */
const fewestParts = 16;
/** Each holds up to 100 MiB. */
const mostThreads = 4;

/**
 * `findNearest` on several cores, since nearly all of its time is decoding. The calling thread stays free where there are
 * many parts.
 */
export async function findNearestInThreads(
  storage: Storage,
  paths: readonly string[],
  query: NearestQuery,
): Promise<Neighbour[]> {
  const threads = Math.min(availableParallelism(), mostThreads, Math.floor(paths.length / fewestParts));
  if (threads < 2) return findNearest(storage, paths, query);
  // Dealt out in turn, so that threads end together.
  const shares = Array.from({ length: threads }, (_, n) => paths.filter((_, i) => i % threads === n));
  const tasks = shares.map((share) => ({ location: storage.location, paths: share, query }));
  return mergeNearest(await Promise.all(tasks.map(runThread)), query.top);
}

async function runThread(task: NearestTask): Promise<readonly Neighbour[]> {
  const worker = new Worker(new URL("./nearest-thread.js", import.meta.url), { workerData: task });
  try {
    // Rejects where the thread fails otherwise.
    const [answer]: [NearestAnswer] = (await once(worker, "message")) as [NearestAnswer];
    if ("code" in answer) throw errorFromAfar(answer.code, answer.message);
    return answer.neighbours;
  } finally {
    await worker.terminate();
  }
}
