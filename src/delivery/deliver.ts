/**
 * Delivery of a run's committed parts to one sink: looks at what is committed and at what the sink says it has, and
 * delivers the difference, again and again. Nothing but the sink remembers, so any number of these may run at once and any
 * may be killed; `results push` and a run's own delivery differ only in when they end. A sink that is down is waited for,
 * and nothing else waits with it. Called by the library.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type CurrentRows, findRows, listCurrentRows, rowsOfChunk } from "../dataset/current-rows.js";
import { parseRetryPath } from "../dataset/layout.js";
import { readPartRows } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary } from "../dataset/summary.js";
import { isCode, type LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { isStorageTrouble } from "../shared/outages.js";
import { unlessAborted } from "../shared/unless-aborted.js";
import type { SinkTarget } from "./sink-target.js";
import { openSink } from "./sinks/open-sink.js";
import type { Sink } from "./sinks/sink.js";

export interface DeliveryProgress {
  /** Committed parts. */
  readonly parts: number;
  /** Parts of those that the sink has, whoever delivered them. */
  readonly delivered: number;
}

export interface DeliverySettings {
  readonly target: SinkTarget;
  readonly storage: Storage;
  readonly head: RunHead;
  readonly log: Log;
  /** Ends when the sink has all of this: the parts that are committed now, or those of the whole run, once it is complete. */
  readonly until: "committed" | "complete";
  readonly onProgress: (progress: DeliveryProgress) => void;
  /** Null while the sink is waited for without end, refusals included. */
  readonly patience: () => Patience | null;
  readonly signal: AbortSignal;
}

/** The delivery gives up when the sink has taken nothing for `ms`, counted from `fromMs` (of `performance`) at the earliest. */
export interface Patience {
  readonly fromMs: number;
  readonly ms: number;
}

const firstRestMs = 250;
const longestRestMs = 15_000;
/** A look costs a listing and the sink's record; between two of them is at least this, and nine times as long as it took. */
const lookEveryMs = 1_000;
const restShare = 9;

/**
 * Delivers until there is no more to deliver. Rejects with `signal.reason` where that aborts; with SINK_UNREACHABLE,
 * SINK_REFUSED or STORAGE_* where patience is at its end; with SINK_MISSING at once; and with RUN_DATASET_CORRUPT where a
 * part cannot be read, after all the others are delivered.
 */
export async function deliverParts(settings: DeliverySettings): Promise<DeliveryProgress> {
  const { target, head, log, signal } = settings;
  const outage = createOutage(settings);
  const renewed: Renewed = new Map();
  while (true) {
    let sink: Sink | null = null;
    try {
      sink = await unlessAborted(openSink(target, head, signal), signal, closeLate);
      return await serveSink({ ...settings, sink, renewed, onTaken: outage.end });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!mayPass(error)) throw error;
      await outage.wait(error);
    } finally {
      // Also what breaks off an operation that an abort has left behind.
      await sink?.close().catch((error: unknown) => log.debug("sink closed", { reason: messageOf(error) }));
    }
  }
}

/** The retry whose rows this loop has delivered of a chunk, over all its connections. */
type Renewed = Map<number, number>;

interface Serving extends DeliverySettings {
  readonly sink: Sink;
  readonly renewed: Renewed;
  readonly onTaken: () => void;
}

/** Looks and delivers over one connection. */
async function serveSink(serving: Serving): Promise<DeliveryProgress> {
  const { until, signal, onProgress, onTaken } = serving;
  while (true) {
    const startMs = performance.now();
    const { isComplete, rows, missing } = await unlessAborted(look(serving), signal);
    // Only now: a sink that answers and takes nothing is as good as none.
    if (missing.length === 0) onTaken();
    const committed = rows.reduce((sum, { chunks }) => sum + chunks, 0);
    const progress = { parts: committed, delivered: committed - missing.length };
    onProgress(progress);
    if (missing.length === 0 && (until === "committed" || isComplete)) return progress;
    const restMs = Math.max(lookEveryMs, restShare * (performance.now() - startMs));
    const { taken, unreadable } = await deliverMissing({ ...serving, rows }, progress, missing);
    if (unreadable !== null && taken === 0 && (until === "committed" || isComplete)) throw unreadable;
    // Without rest after a pass that did something: what was committed meanwhile is waiting.
    if (taken === 0) await rest(restMs, signal);
  }
}

/** What a chunk that is missing is to be delivered as. */
interface MissingChunk {
  readonly chunk: number;
  /** The retry that its rows are of; null where they are the first. */
  readonly retry: number | null;
}

/** All that a retry has made again is missing until this loop has delivered it: which rows of it the sink has is not known. */
async function look({ storage, head, sink, renewed }: Serving) {
  // The summary first: it is written last, so if it is there then all parts are.
  const isComplete = (await readSummary(storage)) !== null;
  const rows = await listCurrentRows(storage, head.identity.format);
  const there = await sink.deliveredChunks();
  const missing = rows.flatMap(({ path, firstChunk, chunks }): MissingChunk[] => {
    const retry = parseRetryPath(path.split("/")[0] ?? "");
    const all = Array.from({ length: chunks }, (_, i) => ({ chunk: firstChunk + i, retry }));
    return all.filter(({ chunk }) => (retry === null ? !there.has(chunk) : renewed.get(chunk) !== retry));
  });
  return { isComplete, rows, missing };
}

interface Pass extends Serving {
  readonly rows: readonly CurrentRows[];
}

/** One pass over what is missing, from a place of chance on, so that several processes seldom meet at one part. */
async function deliverMissing(pass: Pass, { parts, delivered }: DeliveryProgress, missing: readonly MissingChunk[]) {
  const { sink, renewed, signal, onProgress, onTaken } = pass;
  const start = Math.floor(Math.random() * missing.length);
  let taken = 0;
  let unreadable: LabelmillError | null = null;
  for (const { chunk, retry } of [...missing.slice(start), ...missing.slice(0, start)]) {
    const rows = () => readRows(pass, chunk);
    try {
      const outcome = await unlessAborted(sink.deliver({ chunk, isNewer: retry !== null, rows }), signal);
      if (outcome !== "busy") taken += 1;
      if (outcome !== "busy" && retry !== null) renewed.set(chunk, retry);
      onTaken();
      onProgress({ parts, delivered: delivered + taken });
    } catch (error) {
      // Left out: the others are still to be delivered. The sink has undone what it began.
      if (!isCode(error, "RUN_DATASET_CORRUPT")) throw error;
      unreadable = error;
    }
  }
  return { taken, unreadable };
}

async function readRows({ storage, head, rows }: Pass, chunk: number): Promise<readonly Row[]> {
  const found = findRows(rows, chunk);
  if (found === null) throw new Error(`Expected chunk ${chunk} to be committed`);
  const read: Row[] = [];
  const range = rowsOfChunk(found, chunk, head.identity.chunkSize);
  for await (const row of readPartRows<keyof Row>(storage, found.path, undefined, range)) read.push(row);
  return read;
}

function mayPass(error: unknown): boolean {
  return isCode(error, "SINK_UNREACHABLE") || isCode(error, "SINK_REFUSED") || isStorageTrouble(error);
}

/** Said once when it begins and once when it is over, with growing rests between attempts. */
function createOutage({ target, log, signal, patience }: DeliverySettings) {
  let sinceMs: number | null = null;
  let takenMs = performance.now();
  let restMs = firstRestMs;
  const leftMs = (error: unknown): number => {
    const limit = patience();
    if (limit === null) return Number.POSITIVE_INFINITY;
    return isCode(error, "SINK_REFUSED") ? 0 : Math.max(takenMs, limit.fromMs) + limit.ms - performance.now();
  };
  return {
    end() {
      takenMs = performance.now();
      restMs = firstRestMs;
      if (sinceMs === null) return;
      log.info("the sink takes parts again", {
        sink: target.name,
        afterSeconds: Math.round((takenMs - sinceMs) / 1000),
      });
      sinceMs = null;
    },
    /** Rests before the next attempt; throws `error` where patience is at its end. */
    async wait(error: unknown): Promise<void> {
      if (leftMs(error) <= 0) throw error;
      if (sinceMs === null) log.warn(`delivery waits: ${messageOf(error)}`);
      sinceMs ??= performance.now();
      const endMs = performance.now() + restMs;
      restMs = Math.min(restMs * 2, longestRestMs);
      // In short steps, since patience may begin to run out while this rests.
      while (performance.now() < endMs) {
        const left = leftMs(error);
        if (left <= 0) throw error;
        await rest(Math.min(endMs - performance.now(), left, firstRestMs), signal);
      }
    },
  };
}

/** Rejects with the signal's reason where that aborts. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(1, ms), undefined, { signal }).catch(() => {
    throw signal.reason;
  });
}

function closeLate(sink: Sink): void {
  void sink.close().catch(() => {});
}
