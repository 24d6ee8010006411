/**
 * Where runs are found: in the Redis that the caller names, in the private servers that run on this machine, and, where
 * such a server ended before its run did, in what it left. Connections are open while the caller's action lasts.
 */
import { join } from "node:path";
import { editDistance } from "../shared/edit-distance.js";
import { LabelmillError } from "../shared/errors.js";
import { redactUrl } from "../shared/redact-url.js";
import { closeRedis, openRedis, type Redis } from "../shared/redis.js";
import { listKnownRuns } from "../shared/run-index.js";
import { type RunRecord, readRun } from "../shared/run-record.js";
import { listRegistered, openServer, type RunWish, readWish } from "../shared/server-registry.js";
import type { CallContext } from "./context.js";

/** A run with a record. */
export interface LiveRun {
  readonly runId: string;
  readonly redis: Redis;
  readonly record: RunRecord;
  /** Without a password. */
  readonly url: string;
  /** Where its private server keeps its data; null in a Redis that was named. */
  readonly dataDir: string | null;
}

/** A run whose private server is gone: it was interrupted, or cancelled before. */
export interface LeftRun {
  readonly runId: string;
  readonly redis: null;
  readonly out: string;
  readonly dataDir: string;
  readonly wish: RunWish | null;
}

export type FoundRun = LiveRun | LeftRun;

/** Calls `action` with every run that there is, oldest id first. Throws REDIS_*. */
export async function withRuns<T>(context: CallContext, action: (runs: readonly FoundRun[]) => Promise<T>): Promise<T> {
  const { options, places } = context;
  const opened: Redis[] = [];
  try {
    const runs: FoundRun[] = [];
    if (options.redisUrl !== null) {
      const redis = await openRedis(options.redisUrl);
      opened.push(redis);
      runs.push(...(await runsIn(redis, redactUrl(options.redisUrl), null)));
    }
    const lost: Promise<never>[] = [];
    for (const server of await listRegistered(places.stateDir)) {
      const { runId, out, url } = server;
      const dataDir = join(places.stateDir, runId);
      const redis = await openServer(server);
      if (redis === null) {
        runs.push({ runId, redis, out, dataDir, wish: await readWish(dataDir) });
        continue;
      }
      opened.push(redis);
      lost.push(whenGone(redis));
      runs.push(...(await Promise.race([runsIn(redis, url, dataDir), ...lost])));
    }
    return await Promise.race([action(withoutDoubles(runs)), ...lost]);
  } finally {
    opened.forEach(closeRedis);
  }
}

async function runsIn(redis: Redis, url: string, dataDir: string | null): Promise<LiveRun[]> {
  const found: LiveRun[] = [];
  for (const runId of await listKnownRuns(redis)) {
    const record = await readRun(redis, runId);
    // Expired, or lost, since it was listed.
    if (record !== null) found.push({ runId, redis, record, url, dataDir });
  }
  return found;
}

/** A private server ends with its run's command, and what is asked of it then would wait for ever. */
function whenGone(redis: Redis): Promise<never> {
  const gone = new Promise<never>((_, reject) => {
    const tell = () => {
      const reason = "its command ended while it was asked; try again";
      reject(new LabelmillError("REDIS_SERVER_FAILED", { reason }));
    };
    redis.once("close", tell);
    if (redis.status !== "ready") tell();
  });
  // Closing the connection in the end is no loss.
  gone.catch(() => {});
  return gone;
}

/** A run that went on elsewhere has left its private server's data behind. */
function withoutDoubles(runs: readonly FoundRun[]): readonly FoundRun[] {
  const live = new Set(runs.filter(({ redis }) => redis !== null).map(({ runId }) => runId));
  const kept = runs.filter(({ redis, runId }) => redis !== null || !live.has(runId));
  return kept.sort((a, b) => (a.runId < b.runId ? -1 : 1));
}

const mostNamed = 5;

/**
 * The run whose id is `given`, or begins with it, or whose part behind the date does. Throws RUN_UNKNOWN, naming the ids that
 * are nearest, and RUN_AMBIGUOUS.
 */
export function pickRun(runs: readonly FoundRun[], given: string, hasUrl: boolean): FoundRun {
  const exact = runs.find(({ runId }) => runId === given);
  if (exact !== undefined) return exact;
  const begins = (runId: string) => runId.startsWith(given) || randomPart(runId).startsWith(given);
  const matches = given === "" ? [] : runs.filter(({ runId }) => begins(runId));
  if (matches.length === 1 && matches[0] !== undefined) return matches[0];
  const list = (ids: readonly string[]) => ids.slice(0, mostNamed).join(", ") + (ids.length > mostNamed ? ", …" : "");
  if (matches.length > 1)
    throw new LabelmillError("RUN_AMBIGUOUS", { given, known: list(matches.map(({ runId }) => runId)) });
  const distance = (runId: string) => Math.min(editDistance(given, runId), editDistance(given, randomPart(runId)));
  const nearest = runs.map(({ runId }) => runId).sort((a, b) => distance(a) - distance(b));
  const known = nearest.length === 0 ? "there is none" : `there are ${list(nearest)}`;
  const where = hasUrl ? "" : " among the private runs of this machine (for those of a shared Redis give --redis-url)";
  throw new LabelmillError("RUN_UNKNOWN", { given, where, known });
}

function randomPart(runId: string): string {
  return runId.slice(runId.indexOf("-") + 1);
}
