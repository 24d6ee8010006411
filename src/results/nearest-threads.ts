import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { RowFile } from "../dataset/layout.js";
import { errorFromAfar, type RunErrorCode } from "../shared/errors.js";
import type { StoreSettings } from "../shared/s3/client.js";
import { findNearest, mergeNearest, type NearestQuery, type Neighbour, type Searched } from "./nearest.js";
import type { OpenedResults } from "./open.js";

/** What one thread is given. */
export interface NearestTask {
  readonly location: string;
  readonly store: StoreSettings | undefined;
  readonly searched: Searched;
  readonly query: NearestQuery;
}

export type NearestAnswer =
  | { readonly neighbours: readonly Neighbour[] }
  | { readonly code: RunErrorCode; readonly message: string };

/** A thread takes 0.2 s to start, which is about what these take it. */
const fewestChunks = 16;
/** Each holds up to 100 MiB with parts of usual size. */
const mostThreads = 4;
/** Files that are read at the same time; a thread holds each twice, as it came and where the decoder has it. */
const mostBytesAtOnce = 128 * 2 ** 20;

/**
 * `findNearest` on several cores, since nearly all of its time is decoding. The calling thread stays free where there are
 * many parts. Throws the reason of the dataset's signal where that aborts.
 */
export async function findNearestInThreads(
  { storage, files, head, reading }: OpenedResults,
  query: Omit<NearestQuery, "signal">,
): Promise<Neighbour[]> {
  const { store, signal } = reading;
  const { chunkSize } = head.identity;
  const threads = await threadsFor(files, async (path) => (await storage.size(path)) ?? 0);
  if (threads < 2) return findNearest(storage, { files, chunkSize }, { ...query, signal });
  // Dealt out in turn, so that threads end together.
  const shares = Array.from({ length: threads }, (_, n) => files.filter((_, i) => i % threads === n));
  const tasks = shares.map((share) => ({
    location: storage.location,
    store,
    searched: { files: share, chunkSize },
    query,
  }));
  return mergeNearest(await Promise.all(tasks.map((task) => runThread(task, signal))), query.top);
}

/** The first file is as large as any, or nearly. */
async function threadsFor(files: readonly RowFile[], sizeOf: (path: string) => Promise<number>): Promise<number> {
  const [first] = files;
  if (first === undefined) return 0;
  const chunks = files.reduce((sum, file) => sum + file.chunks, 0);
  const useful = Math.min(availableParallelism(), mostThreads, files.length, Math.floor(chunks / fewestChunks));
  if (useful < 2) return useful;
  return Math.min(useful, Math.floor(mostBytesAtOnce / Math.max(1, await sizeOf(first.path))));
}

async function runThread(task: NearestTask, signal: AbortSignal | undefined): Promise<readonly Neighbour[]> {
  signal?.throwIfAborted();
  const worker = new Worker(new URL("./nearest-thread.js", import.meta.url), { workerData: task });
  try {
    // Rejects where the thread fails otherwise.
    const [answer]: [NearestAnswer] = (await once(worker, "message", signal === undefined ? {} : { signal })) as [
      NearestAnswer,
    ];
    if ("code" in answer) throw errorFromAfar(answer.code, answer.message);
    return answer.neighbours;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await worker.terminate();
  }
}
