/**
 * The record of a run in Redis: its state, how far its list is pinned, and what is counted. It holds nothing that the
 * dataset does not: after a loss of Redis it is made again from there.
 *
 *                 ┌──────────── last chunk counted, list sealed ────────────┐
 *                 │                                                         v
 *   enqueuing ── seal ──> running ── last chunk counted ──────────────> finalizing ── summary written ──> completed
 *       │ ^                 │ ^                                             ^
 *     pause │             pause │                                           │
 *       v resume            v resume                                        │
 *       └──────> paused <───┘  ── last chunk in hand counted ───────────────┘
 *
 *   enqueuing, running, paused, finalizing ── cancel ──> cancelled ── submitted again ──> enqueuing
 *
 * | who | moves |
 * |---|---|
 * | producer | makes the record (enqueuing), grows it by each pinned segment, seals it (running); a run that was cancelled it makes anew |
 * | worker | counts chunks in whatever state; the last one makes it finalizing, out of paused too: nothing is left to pause |
 * | whoever sees `finalizing` | writes the summary and completes the run; doing so twice changes nothing |
 * | user (`run-control.ts`) | pauses, resumes, cancels, removes; `controlTable` says in which state |
 *
 * A paused run is pinned further, since pinning is no work, but no chunk of it is taken: its queue is paused by the same
 * script. A cancelled one has no queue; chunks that were in hand may still commit and be counted, which is harmless. A
 * summary that is written wins over a cancel at the same time. Each move is made by one of the scripts in
 * `run-scripts.ts`, nowhere else.
 */
import { LabelmillError } from "./errors.js";
import type { Redis } from "./redis.js";
import { enterActiveRuns, leaveActiveRuns } from "./run-index.js";
import { allRunKeys, recordKey } from "./run-keys.js";
import {
  cancelledRun,
  commitChunkScript,
  completeRunScript,
  createRunScript,
  foreignEpoch,
  growRunScript,
  type RunScript,
  runScript,
  sealRunScript,
} from "./run-scripts.js";

export const runStates = ["enqueuing", "running", "paused", "finalizing", "completed", "cancelled"] as const;
export type RunState = (typeof runStates)[number];

/** A run as its dataset names it. */
export interface RunKey {
  readonly runId: string;
  /** Of the dataset's `run.json`: a record of another epoch is another run's. */
  readonly epoch: string;
}

/** What may change each time that a run is submitted. */
export interface RunPolicy {
  /** Chunks of the run with the highest are taken first. */
  readonly priority: number;
  /** How long the record stays once the run has ended. */
  readonly keepMs: number;
}

export interface RunRecord extends RunKey, RunPolicy {
  readonly state: RunState;
  /** Location of the dataset. */
  readonly out: string;
  readonly schemaVersion: number;
  /** The pinned list is whole: `chunks` and `items` are final. */
  readonly isSealed: boolean;
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
  /** Rows that were carried over from another dataset; not among those `made`. */
  readonly carried: number;
  /** What ran, sorted: `onnx/cpu`. */
  readonly engines: readonly string[];
  /** By engine: why the first worker that counted a part of it took it. */
  readonly whyEngines: Readonly<Record<string, string>>;
  /** Redis server time. */
  readonly createdAtMs: number;
  /** When the last chunk was counted; null before the first. */
  readonly committedAtMs: number | null;
  /** When it completed or was cancelled. */
  readonly endedAtMs: number | null;
  /** How long it was paused, pauses that are over. */
  readonly pausedMs: number;
  /** Where the last half minute or minute of work began, for the rate; null before the first chunk. */
  readonly window: { readonly fromMs: number; readonly fromMade: number } | null;
  readonly busy: StageBusy;
}

/** Busy time of the stages, summed over chunks and workers, in milliseconds. */
export interface StageBusy {
  readonly fetchMs: number;
  readonly decodeMs: number;
  readonly inferMs: number;
  /** In which a worker had chunks in hand: what the others are a share of. */
  readonly workMs: number;
}

export interface ChunkCount {
  readonly chunk: number;
  readonly ok: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
  readonly duplicates: number;
  /** @default 0 */
  readonly carried?: number;
  readonly busy: StageBusy;
  /** What ran, and why it; null where the part was found, not made. */
  readonly engine: { readonly name: string; readonly why: string } | null;
}

/**
 * Creates the record of a run, finds it, or makes it anew where the run was cancelled (`reopened`) or, with `isStale`, had
 * completed, and lists the run as active. Throws RUN_RECORD_LOST for another epoch.
 */
export async function createRun(
  redis: Redis,
  run: RunKey & RunPolicy & { out: string; schemaVersion: number; isStale?: boolean },
): Promise<"created" | "found" | "reopened"> {
  const policy = [run.isStale ? 1 : 0, run.priority, run.keepMs];
  const fields = ["out", run.out, "schemaVersion", run.schemaVersion];
  const answer = await move(redis, run, createRunScript, allRunKeys(run.runId), [...policy, ...fields]);
  await enterActiveRuns(redis, run.runId);
  return answer === 0 ? "found" : answer === 2 ? "reopened" : "created";
}

/** Counts a pinned segment in. `chunks` and `items` are the run's totals up to and with it. Idempotent. Throws RUN_CANCELLED. */
export async function growRun(
  redis: Redis,
  run: RunKey,
  pinned: { segment: number; chunks: number; items: number },
): Promise<void> {
  await move(redis, run, growRunScript, [recordKey(run.runId, "run")], [pinned.segment, pinned.chunks, pinned.items]);
}

/** Marks the pinned list as complete. Idempotent. Throws RUN_CANCELLED. */
export async function sealRun(redis: Redis, run: RunKey): Promise<void> {
  await move(redis, run, sealRunScript, [recordKey(run.runId, "run")], []);
}

/** Counts a committed part. Returns false where it was counted before. Throws RUN_RECORD_LOST. */
export async function commitChunk(redis: Redis, run: RunKey, count: ChunkCount): Promise<boolean> {
  const { runId } = run;
  const keys = (["run", "done", "failures", "engines"] as const).map((part) => recordKey(runId, part));
  const { fetchMs, decodeMs, inferMs, workMs } = count.busy;
  const busy = [fetchMs, decodeMs, inferMs, workMs].map(Math.round);
  const codes = Object.entries(count.failuresByCode).flat();
  const args = [
    count.chunk,
    count.ok,
    count.failed,
    count.duplicates,
    ...busy,
    count.engine?.name ?? "",
    count.engine?.why ?? "",
    count.carried ?? 0,
    ...codes,
  ];
  return (await move(redis, run, commitChunkScript, keys, args)) === 1;
}

/** Ends a run whose summary is written, and takes it off the list of active runs. Idempotent. */
export async function completeRun(redis: Redis, run: RunKey): Promise<void> {
  const keepMs = await move(redis, run, completeRunScript, allRunKeys(run.runId), []);
  await leaveActiveRuns(redis, run.runId, keepMs);
}

/** Whether each of `chunks` is counted. */
export async function countedChunks(redis: Redis, runId: string, chunks: readonly number[]): Promise<boolean[]> {
  if (chunks.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const chunk of chunks) pipeline.getbit(recordKey(runId, "done"), chunk);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, bit]) => {
    if (error) throw error;
    return bit === 1;
  });
}

/** The record, or null where Redis has none. */
export async function readRun(redis: Redis, runId: string): Promise<RunRecord | null> {
  const [fields, failures, whyEngines] = await Promise.all([
    redis.hgetall(recordKey(runId, "run")),
    redis.hgetall(recordKey(runId, "failures")),
    redis.hgetall(recordKey(runId, "engines")),
  ]);
  if (fields.epoch === undefined) return null;
  const number = (name: string) => Number(fields[name] ?? 0);
  const time = (name: string) => (fields[name] === undefined ? null : number(name));
  const fromMs = time("fromMs");
  return {
    runId,
    epoch: fields.epoch,
    state: fields.state as RunState,
    out: fields.out ?? "",
    schemaVersion: number("schemaVersion"),
    priority: number("priority"),
    keepMs: number("keepMs"),
    isSealed: fields.sealed === "1",
    segments: number("segments"),
    chunks: number("chunks"),
    items: number("items"),
    doneChunks: number("doneChunks"),
    ok: number("ok"),
    failed: number("failed"),
    made: number("made"),
    failuresByCode: Object.fromEntries(Object.entries(failures).map(([code, n]) => [code, Number(n)])),
    duplicates: number("duplicates"),
    carried: number("carried"),
    engines: Object.keys(whyEngines).sort(),
    whyEngines,
    createdAtMs: number("createdAtMs"),
    committedAtMs: time("committedAtMs"),
    endedAtMs: time("endedAtMs"),
    pausedMs: number("pausedMs"),
    window: fromMs === null ? null : { fromMs, fromMade: number("fromMade") },
    busy: {
      fetchMs: number("fetchMs"),
      decodeMs: number("decodeMs"),
      inferMs: number("inferMs"),
      workMs: number("workMs"),
    },
  };
}

/** Nothing is done for the run any more unless it is submitted again. */
export function hasEnded({ state }: RunRecord): boolean {
  return state === "completed" || state === "cancelled";
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
  if (answer === cancelledRun) throw new LabelmillError("RUN_CANCELLED", { runId: run.runId });
  return answer;
}

/** The error of whoever finds that a record is not its own run's. */
export function foreignRecord(run: RunKey): LabelmillError {
  return new LabelmillError("RUN_RECORD_LOST", {
    runId: run.runId,
    reason: "the record is absent or has another epoch",
  });
}
