/**
 * Connections to Redis, and the checks that one must pass before a run is trusted to it. Connections outlive outages: a
 * command issued while Redis is away waits for it. Whoever opens a connection closes it.
 */
import { Redis, type RedisOptions } from "ioredis";
import { LabelmillError, messageOf } from "./errors.js";
import type { Log } from "./log.js";
import { redactUrl } from "./redact-url.js";

export type { Redis } from "ioredis";

const firstConnectTimeoutMs = 5_000;
const longestRetryMs = 1_000;
/** A server that is silent for longer while we wait for its answer is taken for lost: the connection is made anew. */
const silenceTimeoutMs = 30_000;
/** The oldest server that BullMQ supports. */
const oldestVersion = [6, 2] as const;

/**
 * Connects to `url` (redis://, rediss://, unix:// or a socket path, both with ?username=&password=) and checks that the
 * server fits. Throws REDIS_REFUSED, REDIS_VERSION, REDIS_MODE or REDIS_POLICY; the connection is then closed. Commands wait
 * for a server that goes away only from then on: a private one whose command ends while it is checked would be waited for
 * without end.
 */
export async function openRedis(url: string): Promise<Redis> {
  return openChecked(url, true);
}

/**
 * The same for whoever would rather hear of an outage than wait for its end: when the connection breaks, it is over, and
 * every command rejects. So it is where `signal` aborts before it is open.
 */
export async function openRedisOnce(url: string, signal: AbortSignal): Promise<Redis> {
  return openChecked(url, false, signal);
}

async function openChecked(url: string, isLasting: boolean, signal?: AbortSignal): Promise<Redis> {
  const redis = await connect(url, isLasting, signal);
  const checked = new AbortController();
  signal?.addEventListener("abort", () => closeRedis(redis), { once: true, signal: checked.signal });
  try {
    await Promise.race([checkServer(redis, redactUrl(url)), refusedWhenGone(redis, redactUrl(url), checked.signal)]);
    return redis;
  } catch (error) {
    closeRedis(redis);
    throw error;
  } finally {
    checked.abort();
  }
}

/** Rejects with REDIS_REFUSED once the connection breaks; listens no more once `signal` aborts. */
function refusedWhenGone(redis: Redis, url: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const refuse = () =>
      reject(new LabelmillError("REDIS_REFUSED", { url, reason: "it went away while it was asked" }));
    redis.once("close", refuse);
    signal.addEventListener("abort", () => redis.off("close", refuse), { once: true });
    if (redis.status !== "ready") refuse();
  });
}

async function connect(url: string, isLasting: boolean, signal?: AbortSignal): Promise<Redis> {
  let connected = false;
  const options = {
    lazyConnect: true,
    connectTimeout: firstConnectTimeoutMs,
    socketTimeout: silenceTimeoutMs,
    // Commands wait for the server's return instead of failing; BullMQ's blocking connections demand it.
    maxRetriesPerRequest: null,
    retryStrategy: (attempt: number) => (connected && isLasting ? Math.min(attempt * 50, longestRetryMs) : null),
  } satisfies RedisOptions;
  const redis = createClient(url, options);
  // Every command's own promise carries its error; without a listener ioredis would print the connection's as well.
  let lastError: unknown;
  redis.on("error", (error) => {
    lastError = error;
  });
  const abort = () => redis.disconnect();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await redis.connect();
    connected = true;
    return redis;
  } catch (error) {
    redis.disconnect();
    const reason = messageOf(lastError ?? error) || "connection refused";
    throw new LabelmillError("REDIS_REFUSED", { url: redactUrl(url), reason }, { cause: lastError ?? error });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Does not connect yet. Throws REDIS_REFUSED for a url that is none. */
function createClient(url: string, options: Omit<RedisOptions, "replyMapping">): Redis {
  const [, path, query] = /^(?:unix:\/\/)?(\/.*?)(?:\?((?:username|password|db)=.*))?$/s.exec(url) ?? [];
  if (path !== undefined) {
    const { db, ...user } = Object.fromEntries(new URLSearchParams(query));
    return new Redis({ ...options, ...user, path, ...(db === undefined ? {} : { db: Number(db) }) });
  }
  try {
    return new Redis(url, options);
  } catch (error) {
    const reason =
      "it is no url; in a user name or password write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #";
    // Without the cause, which has the url.
    if (error instanceof TypeError) throw new LabelmillError("REDIS_REFUSED", { url: redactUrl(url), reason });
    throw error;
  }
}

/** Logs when the server of an open connection goes away, and when it is back. */
export function logAbsence(redis: Redis, log: Log): void {
  let awaySinceMs: number | null = null;
  redis.on("reconnecting", () => {
    // Said once: each attempt to connect announces itself.
    if (awaySinceMs === null) log.warn("Redis does not answer; waiting for it");
    awaySinceMs ??= Date.now();
  });
  redis.on("ready", () => {
    if (awaySinceMs === null) return;
    log.info("Redis answers again", { afterSeconds: Math.round((Date.now() - awaySinceMs) / 1000) });
    awaySinceMs = null;
  });
}

/** Replies of a server that is there and will take the command later; a script's error has the code inside. */
const refusals = /(?:^|-)(?:OOM|LOADING|MISCONF|READONLY|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|BUSY) /;

/** What ioredis says of the commands of a pipeline that a broken connection cut short. */
const brokenPipeline = "Command aborted due to connection close";

/**
 * Whether the command may succeed when it is given again: Redis answered that it cannot take it now (out of memory, loading,
 * busy, without a disk, failing over), or the connection broke inside a pipeline, which is not sent again by itself.
 */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "ReplyError" ? refusals.test(error.message) : error.message === brokenPipeline;
}

/** Ends a connection of `openRedis`, whatever its state; every command that still waits rejects. */
export function closeRedis(redis: Redis): void {
  // In the pause before an attempt to reconnect, ioredis 6.0.0 only stops its timer, and what waits would wait for ever;
  // an attempt that is broken off rejects it.
  if (redis.status === "reconnecting") redis.connect().catch(() => {});
  redis.disconnect();
}

async function checkServer(redis: Redis, url: string): Promise<void> {
  // INFO rather than CONFIG GET: hosted servers often forbid the latter.
  const info = parseInfo(await redis.info());
  const version = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1])) {
    throw new LabelmillError("REDIS_VERSION", { url, version });
  }
  const mode = info.get("redis_mode") ?? "standalone";
  if (mode !== "standalone") throw new LabelmillError("REDIS_MODE", { url, mode });
  const policy = info.get("maxmemory_policy") ?? "unknown";
  if (policy !== "noeviction") throw new LabelmillError("REDIS_POLICY", { url, policy });
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
