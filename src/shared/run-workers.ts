/**
 * Which workers look at a run, and what comes of it, for `runs show`. Each notes it now and then under the run's key in
 * Redis; what it has not noted again for half a minute is forgotten. Of a refusal the key holds a reason without uris and
 * paths, since more people read Redis than may read the data.
 */
import { z } from "zod";
import type { Redis } from "./redis.js";
import { recordKey } from "./run-keys.js";
import { reportWorkerScript, runScript } from "./run-scripts.js";

/** What came of a look: null, the worker serves the run; else why it does not. */
export type WorkerVerdict = string | null;

export interface WorkerReport {
  /** Host name and a random part. */
  readonly worker: string;
  readonly refusal: WorkerVerdict;
  readonly secondsAgo: number;
}

/** A worker notes what it has to say this often. */
export const reportEveryMs = 10_000;
const reportCountsMs = 3 * reportEveryMs;
const mostWorkers = 100;
const longestReason = 300;
const unreadable = "what it noted cannot be read by this version";

const entrySchema = z.object({ refusal: z.string().nullable() });

export async function reportWorker(
  redis: Redis,
  runId: string,
  { worker, refusal }: { worker: string; refusal: WorkerVerdict },
): Promise<void> {
  const entry = JSON.stringify({ refusal: refusal?.slice(0, longestReason) ?? null });
  const args = [worker, reportCountsMs, mostWorkers, entry];
  await runScript(redis, reportWorkerScript, [recordKey(runId, "workers")], args);
}

/** The workers that noted something in the last half minute: those that serve the run first, then by name. */
export async function readWorkers(redis: Redis, runId: string): Promise<WorkerReport[]> {
  const entries = Object.entries(await redis.hgetall(recordKey(runId, "workers")));
  const [seconds] = await redis.time();
  const reports = entries.map(([worker, text]) => {
    const space = text.indexOf(" ");
    const secondsAgo = Math.max(0, Math.round(Number(seconds) - Number(text.slice(0, space)) / 1000));
    return { worker, refusal: parseRefusal(text.slice(space + 1)), secondsAgo };
  });
  return reports
    .filter(({ secondsAgo }) => secondsAgo * 1000 <= reportCountsMs)
    .sort((a, b) => Number(a.refusal !== null) - Number(b.refusal !== null) || (a.worker < b.worker ? -1 : 1));
}

/** One worker of another version must not hide the others, nor the run. */
function parseRefusal(text: string): WorkerVerdict {
  try {
    return entrySchema.parse(JSON.parse(text)).refusal;
  } catch {
    return unreadable;
  }
}
