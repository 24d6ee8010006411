/**
 * A run without images: real Redis, a real dataset, the real consumer and stages, and a compute side that answers as the
 * test says. For claims about queueing and counting.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createRunHead, type RunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { readSummary } from "../../src/dataset/summary.js";
import { enqueueRun, registerRun } from "../../src/producer/enqueue.js";
import type { Source } from "../../src/producer/source/source.js";
import { verifyResults } from "../../src/results/verify.js";
import { type Log, silentLog } from "../../src/shared/log.js";
import { createOutages, type Outages } from "../../src/shared/outages.js";
import type { Redis } from "../../src/shared/redis.js";
import type { RunPolicy } from "../../src/shared/run-record.js";
import type { Prediction } from "../../src/worker/compute/protocol.js";
import type { ComputeClient } from "../../src/worker/compute-client/client.js";
import { type Consumer, startConsumer } from "../../src/worker/consumer.js";
import type { FetchedBytes, Fetcher } from "../../src/worker/fetch/fetcher.js";
import { createWorkerMeter, type WorkerMeter } from "../../src/worker/health/meter.js";
import { type Outcome, succeeded } from "../../src/worker/outcome.js";
import { createPredictionWindow } from "../../src/worker/prediction-window.js";
import { createProcessLimits } from "../../src/worker/process-limits.js";
import { createRunFinder } from "../../src/worker/run-finder.js";
import { openRunQueue, type RunQueue } from "../../src/worker/run-queue.js";
import { createRunReports } from "../../src/worker/run-reports.js";
import type { WorkerContext } from "../../src/worker/served-run.js";
import { sampleIdentity } from "../dataset/samples.js";

export interface TestRun {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly source: Source;
}

/** `count` items, by default `/i/0` and on; the token of an item is the index of the next. */
export function numberedSource(count: number, uriOf = (i: number) => `/i/${i}`): Source {
  return {
    async *items(after) {
      for (let i = Number(after ?? 0); i < count; i += 1) yield { uri: uriOf(i), token: String(i + 1) };
    },
    leftOut: () => ({}),
    roots: ["/"],
  };
}

/** Waits for Redis, and not for storage. */
export const testOutages: Outages = createOutages({ storageTimeoutMs: 0, log: silentLog });

export interface SubmitOptions {
  readonly count?: number;
  readonly chunkSize?: number;
  readonly source?: Source;
  readonly priority?: number;
  /** What the identity says. */
  readonly sources?: readonly string[];
}

export const testPolicy: RunPolicy = { priority: 0, keepMs: 3_600_000 };

/** Creates, registers and enqueues a run of `count` items in chunks of `chunkSize`. */
export async function submitRun(
  redis: Redis,
  out: string,
  { count = 12, chunkSize = 4, source = numberedSource(count), priority = 0, sources = ["/i"] }: SubmitOptions = {},
): Promise<TestRun> {
  const storage = openStorage(out);
  const { head } = await createRunHead(storage, { ...sampleIdentity, sources, chunkSize });
  await registerRun({ head, storage, redis, policy: { ...testPolicy, priority } });
  await enqueueRun({ head, storage, redis, source, outages: testOutages, signal: new AbortController().signal });
  return { head, storage, source };
}

export interface ConsumerOptions {
  readonly predict?: (bytes: Uint8Array) => Promise<Outcome<Prediction>>;
  readonly lockMs?: number;
  readonly chunksInFlight?: number;
  readonly onlyRun?: string;
  readonly log?: Log;
  readonly outages?: Outages;
  readonly meter?: WorkerMeter;
  /** Where items come from; else an item's bytes are its uri. */
  readonly fetcher?: Fetcher;
  /** @default ["/i"] */
  readonly allowRoots?: readonly string[];
  /** What the worker has loaded. @default that of `sampleIdentity` */
  readonly model?: Parameters<typeof createRunFinder>[0]["model"];
  /** Wraps the queue, for faults that cannot be caused for real. */
  readonly wrapQueue?: (queue: RunQueue) => RunQueue;
}

/** The prediction that every image gets unless the test says otherwise. */
export const somePrediction: Prediction = {
  width: 4,
  height: 3,
  format: "png",
  topIndices: [1, 0],
  topScores: [0.75, 0.25],
  embedding: new Float32Array(4).fill(0.5),
};

/** What a fetcher gives of these bytes. */
export function fetchedAs(text: string): FetchedBytes {
  const bytes = Buffer.from(text);
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex"), etag: null, modifiedAt: null };
}

/** What one worker's runs share. */
export function testWorkerContext(redis: Redis, options: ConsumerOptions = {}): WorkerContext {
  const { predict = async () => succeeded(somePrediction), lockMs = 10_000, log = silentLog } = options;
  const { wrapQueue = (queue) => queue } = options;
  const compute: ComputeClient = {
    report: {
      engine: "test/none",
      why: "a test",
      chosen: "onnx",
      isOnGpu: false,
      batchSize: 8,
      whyBatchSize: "a test",
      embeddingWidth: 4,
      loadMs: 0,
      imageMs: 1,
    },
    pids: [],
    predict,
    times: () => ({ decodeMs: 0, inferMs: 0, batches: 0, images: 0, restarts: 0 }),
    close: async () => {},
  };
  const itself: Fetcher = { fetch: async (uri: string) => succeeded(fetchedAs(uri)) };
  const workerId = `w${Math.random().toString(16).slice(2)}`;
  return {
    redis,
    openStorage: (location) => openStorage(location),
    fetcher: options.fetcher ?? itself,
    compute,
    window: createPredictionWindow(),
    limits: createProcessLimits({ decodeConcurrency: 2, batchSize: 8, children: 1, fetchConcurrency: 128 }, compute),
    labels: ["zero", "one"],
    meter: options.meter ?? createWorkerMeter(),
    addRows: () => {},
    onCounted: () => {},
    openQueue: async (runId: string) => wrapQueue(await openRunQueue({ redis, runId, workerId, lockMs, log })),
  };
}

/** Starts a consumer of all runs. */
export function startTestConsumer(redis: Redis, options: ConsumerOptions = {}): Consumer {
  const { lockMs = 10_000, chunksInFlight = 2, onlyRun = null, log = silentLog, outages = testOutages } = options;
  const meter = options.meter ?? createWorkerMeter();
  const context = testWorkerContext(redis, { ...options, meter });
  const { model: name, precision, modelSha256, preprocessSha256 } = sampleIdentity;
  const { model = { name, precision, modelSha256, preprocessSha256 }, allowRoots = ["/i"] } = options;
  const reports = createRunReports(redis, "test-worker");
  const findRuns = createRunFinder({ context, onlyRun, model, allowRoots, reports, log });
  const { isStarving } = context.limits;
  return startConsumer({ findRuns, chunksInFlight, isStarving, lockMs, workerId: "test-worker", outages, meter, log });
}

/** Resolves when the run's summary is written. */
export async function completed({ storage }: Pick<TestRun, "storage">): Promise<void> {
  while ((await readSummary(storage)) === null) await sleep(20);
}

/** Asserts that the run is complete, with one row for each of `rows` items, and that all counts agree. */
export async function assertSound({ storage }: Pick<TestRun, "storage">, rows: number): Promise<void> {
  const found = await verifyResults(storage.location);
  assert.deepEqual(
    { complete: found.complete, rows: found.rows, problems: found.problems },
    { complete: true, rows, problems: [] },
  );
}

/** A log that keeps its warnings and errors. */
export function keepLog(): { readonly lines: string[]; readonly log: Log } {
  const lines: string[] = [];
  const keep = (message: string) => void lines.push(message);
  return { lines, log: { ...silentLog, warn: keep, error: keep } };
}
