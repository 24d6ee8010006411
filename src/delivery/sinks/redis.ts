/**
 * Parts into Redis: a hash an item, and a bitmap of the chunks that are there. A part's hashes are written first and its
 * bit is set last, on one connection; writing them again changes nothing, so a process that is killed in between leaves
 * work to do and no harm. With `ttl` rows go by themselves, and so does the bitmap, that long after the last delivery.
 * Opened by `open-sink` only.
 */
import type { Row } from "../../dataset/row.js";
import type { RunHead } from "../../dataset/run-head.js";
import { isCode, LabelmillError, messageOf } from "../../shared/errors.js";
import { durationMs } from "../../shared/option-spec.js";
import { closeRedis, isRefusal, openRedisOnce, type Redis } from "../../shared/redis.js";
import type { SinkTarget } from "../sink-target.js";
import type { PartToDeliver, Sink } from "./sink.js";

/** Of one pipeline: half a megabyte with embeddings of 2,048 floats. */
const rowsOfPipeline = 64;

/** Connects. Throws SINK_UNREACHABLE, and SINK_REFUSED, also where the server evicts. */
export async function openRedisSink(target: SinkTarget, head: RunHead, signal: AbortSignal): Promise<Sink> {
  const redis = await openRedisOnce(connectionUrl(target), signal).catch((error) =>
    Promise.reject(failure(target, error)),
  );
  const failing = <T>(action: () => Promise<T>): Promise<T> =>
    action().catch((error) => Promise.reject(failure(target, error)));
  const { prefix = "labelmill", ttl } = target.parameters;
  const keys = {
    runId: head.runId,
    base: `${prefix}:${head.runId}`,
    ttlMs: ttl === undefined ? null : durationMs(ttl),
  };
  const sink: Sink = {
    deliveredChunks: () => failing(async () => setBits(await redis.getBuffer(`${keys.base}:parts`))),
    deliver: (part) => failing(() => deliver(redis, keys, part)),
    index: async () => [],
    close: async () => closeRedis(redis),
  };
  try {
    await failing(() => enterRun(redis, keys, { target, head }));
    return sink;
  } catch (error) {
    await sink.close();
    throw error;
  }
}

interface Keys {
  readonly runId: string;
  /** All keys of the run begin with it. */
  readonly base: string;
  readonly ttlMs: number | null;
}

async function enterRun(redis: Redis, { base, ttlMs }: Keys, { target, head }: { target: SinkTarget; head: RunHead }) {
  const { epoch, createdAt, identity } = head;
  const { model, modelSha256, preprocessSha256, precision } = identity;
  const key = `${base}:run`;
  await redis.hsetnx(key, "epoch", epoch);
  if ((await redis.hget(key, "epoch")) !== epoch) {
    const reason = `it has rows of another dataset whose run is called ${head.runId}`;
    throw new LabelmillError("SINK_REFUSED", { sink: target.name, reason });
  }
  const constants = {
    created_at: createdAt,
    model,
    model_sha256: modelSha256,
    preprocess_sha256: preprocessSha256,
    precision,
  };
  await redis.hset(key, constants);
  if (ttlMs !== null) await redis.pexpire(key, ttlMs);
}

async function deliver(redis: Redis, { base, ttlMs }: Keys, part: PartToDeliver): Promise<"delivered" | "present"> {
  if (!part.isNewer && (await redis.getbit(`${base}:parts`, part.chunk)) === 1) return "present";
  const rows = await part.rows();
  for (let from = 0; from < rows.length; from += rowsOfPipeline) {
    // At once, so that a row is never without its fields, nor with one that only the older row had.
    const pipeline = redis.multi();
    for (const row of rows.slice(from, from + rowsOfPipeline)) {
      const key = `${base}:item:${row.item_index}`;
      pipeline.del(key).hset(key, fieldsOf(row));
      if (ttlMs !== null) pipeline.pexpire(key, ttlMs);
    }
    await execute(pipeline);
  }
  const noting = redis.pipeline().setbit(`${base}:parts`, part.chunk, 1);
  if (ttlMs !== null) for (const name of ["parts", "run"]) noting.pexpire(`${base}:${name}`, ttlMs);
  await execute(noting);
  return "delivered";
}

/** Throws what the server said of the first command that failed, rather than that a transaction was given up. */
async function execute(pipeline: Pick<ReturnType<Redis["pipeline"]>, "exec">): Promise<void> {
  const replies = await pipeline.exec().catch((error: Error & { previousErrors?: readonly unknown[] }) => {
    throw error.previousErrors?.[0] ?? error;
  });
  for (const [error] of replies ?? []) if (error) throw error;
}

/** Columns that are constant in a run, and the run's id, which the key holds. */
const leftOut: ReadonlySet<string> = new Set(["run_id", "model", "model_sha256", "preprocess_sha256", "precision"]);

/** Fields of a row's hash: text as it is, lists and `extra` as JSON, the embedding as little-endian float32. Unknown is absent. */
function fieldsOf(row: Row): Map<string, string | Buffer> {
  const known = Object.entries(row).filter(([name, value]) => value !== null && !leftOut.has(name));
  return new Map(known.map(([name, value]) => [name, encode(value)]));
}

function encode(value: unknown): string | Buffer {
  if (value instanceof Float32Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** SETBIT counts from the highest bit of the first byte. */
function setBits(bitmap: Buffer | null): ReadonlySet<number> {
  const chunks = new Set<number>();
  for (const [at, byte] of (bitmap ?? []).entries()) {
    for (let bit = 0; bit < 8; bit += 1) if (byte & (0x80 >> bit)) chunks.add(8 * at + bit);
  }
  return chunks;
}

/** Without our own parameters, which ioredis would take for its options. */
function connectionUrl({ isTls, host, port, database, user, password, parameters }: SinkTarget): string {
  if (parameters.socket !== undefined) return parameters.socket;
  const url = new URL(`${isTls ? "rediss" : "redis"}://${host.includes(":") ? `[${host}]` : host || "localhost"}`);
  if (port !== null) url.port = String(port);
  url.pathname = database;
  url.username = encodeURIComponent(user ?? "");
  url.password = encodeURIComponent(password ?? "");
  return url.href;
}

const refusal = /^(NOAUTH|WRONGPASS|NOPERM|WRONGTYPE|ERR|MOVED|CROSSSLOT)\b/;

const evicts =
  "it may drop keys when its memory is full; run `redis-cli config set maxmemory-policy noeviction`, or give the rows a server of their own";

function failure(target: SinkTarget, error: unknown): LabelmillError {
  if (isCode(error, "REDIS_POLICY")) return refuse(target, error, evicts);
  if (isCode(error, "REDIS_VERSION")) return refuse(target, error, "Redis 6.2 or newer is needed");
  if (error instanceof LabelmillError && !isCode(error, "REDIS_REFUSED")) return error;
  const cause = error instanceof LabelmillError ? (error.cause ?? error) : error;
  const reason = reasonOf(target, cause);
  if (refusal.test(messageOf(cause)) && !isRefusal(cause)) return refuse(target, error, reason);
  return new LabelmillError("SINK_UNREACHABLE", { sink: target.name, reason }, { cause: error });
}

function refuse(target: SinkTarget, cause: unknown, reason: string): LabelmillError {
  return new LabelmillError("SINK_REFUSED", { sink: target.name, reason }, { cause });
}

function reasonOf({ password }: SinkTarget, error: unknown): string {
  const text = messageOf(error);
  return password === null ? text : text.replaceAll(password, "***");
}
