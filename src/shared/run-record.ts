/**
 * The record of a run in Redis: its state, how far its list is pinned, and what is counted. It holds nothing that the
 * dataset does not: after a loss of Redis it is made again from there.
 *
 *   enqueuing ── seal ──> running ── last chunk counted ──> finalizing ── summary written ──> completed
 *       └───────── seal, with every chunk counted already ──────^
 *
 * The producer creates the record, grows it by each pinned segment and seals it. Workers count chunks, in whatever state.
 * Whoever sees `finalizing` writes the summary and completes the run; doing so twice changes nothing. Each move is made
 * by one of the scripts in `run-scripts.ts`, nowhere else.
 */
import { LabelmillError } from "./errors.js";
import { runPrefix } from "./job.js";
import type { Redis } from "./redis.js";
import {
  commitChunkScript,
  completeRunScript,
  createRunScript,
  foreignEpoch,
  growRunScript,
  type RunScript,
  runScript,
  sealRunScript,
} from "./run-scripts.js";

export type RunState = "enqueuing" | "running" | "finalizing" | "completed";

/** A run as its dataset names it. */
export interface RunKey {
  readonly runId: string;
  /** Of the dataset's `run.json`: a record of another epoch is another run's. */
  readonly epoch: string;
}

export interface RunRecord extends RunKey {
  readonly state: RunState;
  /** Location of the dataset. */
  readonly out: string;
  readonly schemaVersion: number;
  readonly segments: number;
  readonly chunks: number;
  readonly items: number;
  readonly doneChunks: number;
  readonly ok: number;
  readonly failed: number;
  /** Rows that were made since the record exists; the others were found in the dataset. */
  readonly made: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
  /** Rows that are ok and whose prediction was made for another item with the same bytes. */
  readonly duplicates: number;
  /** What ran, sorted: `onnx/cpu`. */
  readonly engines: readonly string[];
  /** By engine: why the first worker that counted a part of it took it. */
  readonly whyEngines: Readonly<Record<string, string>>;
  /** Redis server time. */
  readonly createdAtMs: number;
  /** When the last chunk was counted; null before the first. */
  readonly committedAtMs: number | null;
  readonly busy: StageBusy;
}

/** Busy time of the stages, summed over chunks and workers, in milliseconds. */
export interface StageBusy {
  readonly fetchMs: number;
  readonly decodeMs: number;
  readonly inferMs: number;
}

export interface ChunkCount {
  readonly chunk: number;
  readonly ok: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly busy: StageBusy;
  /** What ran, and why it; null where the part was found, not made. */
  readonly engine: { readonly name: string; readonly why: string } | null;
}

const activeRunsKey = "labelmill:runs";
const recordKey = (runId: string) => `${runPrefix(runId)}:run`;
const doneKey = (runId: string) => `${runPrefix(runId)}:done`;
const failuresKey = (runId: string) => `${runPrefix(runId)}:failures`;
const enginesKey = (runId: string) => `${runPrefix(runId)}:engines`;

/** Creates the record of a run or finds it, and lists the run as active. Throws RUN_RECORD_LOST for another epoch. */
export async function createRun(redis: Redis, run: RunKey & { out: string; schemaVersion: number }): Promise<void> {
  await move(redis, run, createRunScript, [recordKey(run.runId)], ["out", run.out, "schemaVersion", run.schemaVersion]);
  await redis.sadd(activeRunsKey, run.runId);
}

/** Counts a pinned segment in. `chunks` and `items` are the run's totals up to and with it. Idempotent. */
export async function growRun(
  redis: Redis,
  run: RunKey,
  pinned: { segment: number; chunks: number; items: number },
): Promise<void> {
  await move(redis, run, growRunScript, [recordKey(run.runId)], [pinned.segment, pinned.chunks, pinned.items]);
}

/** Marks the pinned list as complete. Idempotent. */
export async function sealRun(redis: Redis, run: RunKey): Promise<void> {
  await move(redis, run, sealRunScript, [recordKey(run.runId)], []);
}

/** Counts a committed part. Returns false where it was counted before. Throws RUN_RECORD_LOST. */
export async function commitChunk(redis: Redis, run: RunKey, count: ChunkCount): Promise<boolean> {
  const { runId } = run;
  const keys = [recordKey(runId), doneKey(runId), failuresKey(runId), enginesKey(runId)];
  const busy = [count.busy.fetchMs, count.busy.decodeMs, count.busy.inferMs].map(Math.round);
  const codes = Object.entries(count.failuresByCode).flat();
  const args = [
    count.chunk,
    count.ok,
    count.failed,
    count.duplicates,
    ...busy,
    count.engine?.name ?? "",
    count.engine?.why ?? "",
    ...codes,
  ];
  return (await move(redis, run, commitChunkScript, keys, args)) === 1;
}

/** Ends a run whose summary is written, and takes it off the list of active runs. Idempotent. */
export async function completeRun(redis: Redis, run: RunKey): Promise<void> {
  await move(redis, run, completeRunScript, [recordKey(run.runId)], []);
  await redis.srem(activeRunsKey, run.runId);
}

/** Removes the record, so that it can be made again from the dataset. The queue is not touched. */
export async function forgetRun(redis: Redis, runId: string): Promise<void> {
  await redis.del(recordKey(runId), doneKey(runId), failuresKey(runId), enginesKey(runId));
}

/** Whether each of `chunks` is counted. */
export async function countedChunks(redis: Redis, runId: string, chunks: readonly number[]): Promise<boolean[]> {
  if (chunks.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const chunk of chunks) pipeline.getbit(doneKey(runId), chunk);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, bit]) => {
    if (error) throw error;
    return bit === 1;
  });
}

export async function listActiveRuns(redis: Redis): Promise<string[]> {
  return (await redis.smembers(activeRunsKey)).sort();
}

/** The record, or null where Redis has none. */
export async function readRun(redis: Redis, runId: string): Promise<RunRecord | null> {
  const [fields, failures, whyEngines] = await Promise.all([
    redis.hgetall(recordKey(runId)),
    redis.hgetall(failuresKey(runId)),
    redis.hgetall(enginesKey(runId)),
  ]);
  if (fields.epoch === undefined) return null;
  const number = (name: string) => Number(fields[name] ?? 0);
  return {
    runId,
    epoch: fields.epoch,
    state: fields.state as RunState,
    out: fields.out ?? "",
    schemaVersion: number("schemaVersion"),
    segments: number("segments"),
    chunks: number("chunks"),
    items: number("items"),
    doneChunks: number("doneChunks"),
    ok: number("ok"),
    failed: number("failed"),
    made: number("made"),
    failuresByCode: Object.fromEntries(Object.entries(failures).map(([code, n]) => [code, Number(n)])),
    duplicates: number("duplicates"),
    engines: Object.keys(whyEngines).sort(),
    whyEngines,
    createdAtMs: number("createdAtMs"),
    committedAtMs: fields.committedAtMs === undefined ? null : number("committedAtMs"),
    busy: { fetchMs: number("fetchMs"), decodeMs: number("decodeMs"), inferMs: number("inferMs") },
  };
}

/** Reads the record of `run`. Throws RUN_RECORD_LOST where it is gone or of another epoch. */
export async function requireRun(redis: Redis, run: RunKey): Promise<RunRecord> {
  const record = await readRun(redis, run.runId);
  if (record === null) throw new LabelmillError("RUN_RECORD_LOST", { runId: run.runId, reason: "there is no record" });
  if (record.epoch !== run.epoch) throw foreignRecord(run);
  return record;
}

async function move(
  redis: Redis,
  run: RunKey,
  script: RunScript,
  keys: string[],
  args: (string | number)[],
): Promise<number> {
  const answer = Number(await runScript(redis, script, keys, [run.epoch, ...args]));
  if (answer === foreignEpoch) throw foreignRecord(run);
  return answer;
}

function foreignRecord(run: RunKey): LabelmillError {
  return new LabelmillError("RUN_RECORD_LOST", {
    runId: run.runId,
    reason: "the record is absent or has another epoch",
  });
}
