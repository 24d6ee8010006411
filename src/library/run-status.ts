/**
 * What `runs` says of a run: from its record, or, where the private Redis that had it is gone, from its dataset. Read only;
 * nothing here waits for the run.
 */
import { listCurrentRows, readCurrentSummary } from "../dataset/current-rows.js";
import { readSealed } from "../dataset/items.js";
import { readRunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { countQueued } from "../producer/chunk-queue.js";
import { messageOf } from "../shared/errors.js";
import type { Redis } from "../shared/redis.js";
import type { ShownState } from "../shared/run-control.js";
import type { RunRecord } from "../shared/run-record.js";
import { readWorkers, type WorkerReport } from "../shared/run-workers.js";
import { busiestStage, stageShares, workSeconds } from "../worker/finish.js";
import type { FoundRun, LeftRun, LiveRun } from "./find-runs.js";

/** One line of `runs list`. What only the record knows is null where the private Redis that had it is gone. */
export interface RunStatus {
  readonly runId: string;
  readonly state: ShownState;
  /** Location of the dataset. */
  readonly out: string;
  /** Where the record is: a url without its password, or the socket of a private server. */
  readonly redis: string | null;
  readonly isPrivate: boolean;
  readonly priority: number | null;
  /** Items of the whole run; null while its list is not pinned to the end. */
  readonly items: number | null;
  readonly pinned: number | null;
  readonly ok: number | null;
  readonly failed: number | null;
  readonly failuresByCode: Readonly<Record<string, number>>;
  /** Of the last half minute or minute of work; null where nothing was made in the last minute. */
  readonly imagesPerSecond: number | null;
  /** At that rate; null while the end or the rate is unknown. */
  readonly etaSeconds: number | null;
  /** ISO 8601, UTC, as are the others. */
  readonly createdAt: string | null;
  /** When the last chunk was counted. */
  readonly committedAt: string | null;
  readonly endedAt: string | null;
}

export interface RunReport extends RunStatus {
  /** Chunks of the list as far as it is pinned. */
  readonly chunks: {
    readonly pinned: number | null;
    readonly done: number;
    readonly waiting: number;
    readonly inHand: number;
  };
  readonly engines: readonly string[];
  /** Busy time of each stage, summed over workers, as a share of what it could do at once. */
  readonly stageSeconds: { readonly fetch: number; readonly decode: number; readonly inference: number } | null;
  /** The stage that limits the speed. */
  readonly boundBy: string | null;
  /** By stage, how much it does of what it could do while workers have chunks in hand, from 0 to 1. */
  readonly stageShares: Readonly<Record<string, number>>;
  /** The workers that looked at the run in the last half minute, and why those that refuse it do. */
  readonly workers: readonly WorkerReport[];
  /** What the run waits for, and what to do about it. */
  readonly note: string | null;
}

/** Opens a dataset where it is said to be. */
type OpenStorage = (location: string) => Storage;

/** A rate is of now only where something was counted in the last minute. */
const rateCountsMs = 60_000;

/** One line of `runs list`. */
export async function readStatus(run: FoundRun, openStorage: OpenStorage): Promise<RunStatus> {
  if (run.redis === null) {
    const {
      chunks,
      engines,
      stageSeconds,
      boundBy,
      stageShares: _,
      workers,
      note,
      ...status
    } = await readLeft(run, openStorage);
    return status;
  }
  return statusOf(run, run.record, await serverTime(run.redis));
}

/** Everything that there is to say. */
export async function readReport(run: FoundRun, openStorage: OpenStorage): Promise<RunReport> {
  return run.redis === null ? readLeft(run, openStorage) : readLive(run);
}

async function readLive(run: LiveRun): Promise<RunReport> {
  const { redis, record, runId } = run;
  const status = statusOf(run, record, await serverTime(redis));
  const workers = await readWorkers(redis, runId);
  const { busy } = record;
  return {
    ...status,
    chunks: { pinned: record.chunks, done: record.doneChunks, ...(await countQueued(redis, runId)) },
    engines: record.engines,
    stageSeconds: { fetch: seconds(busy.fetchMs), decode: seconds(busy.decodeMs), inference: seconds(busy.inferMs) },
    boundBy: busiestStage(busy),
    stageShares: stageShares(busy),
    workers,
    note: noteOf(status, workers),
  };
}

function statusOf({ url, dataDir }: LiveRun, record: RunRecord, nowMs: number): RunStatus {
  const { runId, state, out, priority, items, ok, failed, failuresByCode, isSealed } = record;
  const imagesPerSecond = rateOf(record, nowMs);
  const isUnderWay = state === "running" && imagesPerSecond !== null && imagesPerSecond > 0;
  return {
    runId,
    state,
    out,
    redis: url,
    isPrivate: dataDir !== null,
    priority,
    items: isSealed ? items : null,
    pinned: items,
    ok,
    failed,
    failuresByCode,
    imagesPerSecond,
    etaSeconds: isUnderWay ? Math.round((items - ok - failed) / imagesPerSecond) : null,
    createdAt: iso(record.createdAtMs),
    committedAt: iso(record.committedAtMs),
    endedAt: iso(record.endedAtMs),
  };
}

/** Of a run that ended, over all its work; of another, over the last window. */
function rateOf(record: RunRecord, nowMs: number): number | null {
  const { state, window, committedAtMs, made } = record;
  const whole = workSeconds(record);
  if (state === "completed" || state === "cancelled") return whole > 0 ? tenths(made / whole) : null;
  if (state === "paused" || committedAtMs === null || nowMs - committedAtMs > rateCountsMs) return null;
  const windowMs = window === null ? 0 : committedAtMs - window.fromMs;
  if (window !== null && windowMs > 0) return tenths(((made - window.fromMade) * 1000) / windowMs);
  return whole > 0 ? tenths(made / whole) : null;
}

/** What the dataset shows of a run that nobody has in hand. */
async function readLeft({ runId, out, wish }: LeftRun, openStorage: OpenStorage): Promise<RunReport> {
  const { head, summary, sealed, parts, problem } = await readDataset({ runId, out }, openStorage);
  const state = summary !== null ? "completed" : wish === "cancelled" ? "cancelled" : "interrupted";
  const base = { runId, state, out, redis: null, isPrivate: true, priority: null, etaSeconds: null } as const;
  const note = noteOf(base, []);
  return {
    ...base,
    items: sealed?.items ?? null,
    pinned: sealed?.items ?? null,
    ok: summary?.ok ?? null,
    failed: summary?.failed ?? null,
    failuresByCode: summary?.failuresByCode ?? {},
    imagesPerSecond: summary?.imagesPerSecond ?? null,
    createdAt: head?.createdAt ?? null,
    committedAt: null,
    endedAt: null,
    chunks: { pinned: sealed?.chunks ?? null, done: parts, waiting: 0, inHand: 0 },
    engines: summary?.engines ?? [],
    stageSeconds: null,
    boundBy: summary?.boundBy ?? null,
    stageShares: summary?.stageShares ?? {},
    workers: [],
    note: problem ?? (note !== null && wish === "paused" ? `${note}; it is paused still` : note),
  };
}

async function readDataset({ runId, out }: Pick<LeftRun, "runId" | "out">, openStorage: OpenStorage) {
  const none = { head: null, summary: null, sealed: null, parts: 0 };
  try {
    const storage = openStorage(out);
    const head = await readRunHead(storage);
    if (head.runId !== runId) return { ...none, problem: `${out} holds run ${head.runId} now; ${forget(runId)}` };
    const files = await listCurrentRows(storage, head.identity.format);
    const parts = files.reduce((sum, { chunks }) => sum + chunks, 0);
    const [summary, sealed] = [await readCurrentSummary(storage), await readSealed(storage)];
    return { head, summary, sealed, parts, problem: null };
  } catch (error) {
    // One dataset that is gone must not hide the other runs.
    return { ...none, problem: `${messageOf(error)}; ${forget(runId)}` };
  }
}

const forget = (runId: string) => `labelmill runs rm ${runId} forgets the run`;

function noteOf(
  { runId, state, isPrivate }: Pick<RunStatus, "runId" | "state" | "isPrivate">,
  workers: readonly WorkerReport[],
) {
  if (state === "paused") return `paused; labelmill runs resume ${runId}`;
  if (state === "cancelled") return "cancelled; repeat the command that submitted it to take it up again";
  if (state === "interrupted") return "no process has it in hand; repeat the command that started it to go on";
  if (state === "finalizing") return "every row is there; its summary is being written";
  if (state === "completed" || workers.some(({ refusal }) => refusal === null)) return null;
  if (workers.length > 0) return "every worker that looks at it refuses it";
  return isPrivate ? "its worker is not ready yet" : "no worker looks at it; start one with labelmill work";
}

async function serverTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
const seconds = (ms: number) => tenths(ms / 1000);
const tenths = (value: number) => Math.round(value * 10) / 10;
