/**
 * The composition root of a worker: opens the model, the compute child, the fetcher and the limits, and connects them to
 * the consumer. It only constructs and connects.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Storage } from "../dataset/storage/storage.js";
import type { DevicesRequest } from "../shared/engine-names.js";
import { redactUri } from "../shared/http-uri.js";
import { type Log, withFields } from "../shared/log.js";
import type { MetricSource } from "../shared/metrics.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { Outages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import type { ComputeSettings } from "./compute/protocol.js";
import type { ComputeClient } from "./compute-client/client.js";
import { startCompute } from "./compute-client/start.js";
import { requireCudaEngine, startDevices } from "./compute-client/start-devices.js";
import { type ComputeHost, computeSettings } from "./compute-settings.js";
import { startConsumer } from "./consumer.js";
import { requireGpus } from "./cuda-gpus.js";
import { openFetcher, type WebAccess } from "./fetch/open-fetcher.js";
import type { WorkerMeter } from "./health/meter.js";
import { workerFigures } from "./health/worker-figures.js";
import { describeModel } from "./model/describe-model.js";
import { loadLabels, resolveModel } from "./model/known-models.js";
import { createPredictionWindow } from "./prediction-window.js";
import { createProcessLimits, type ProcessLimits } from "./process-limits.js";
import { createRunFinder } from "./run-finder.js";
import { openRunQueue } from "./run-queue.js";
import { createRunReports } from "./run-reports.js";

export interface WorkerSettings {
  readonly redis: Redis;
  readonly options: ResolvedOptions;
  readonly host: ComputeHost;
  /** Serves this run alone; null serves every run it can. */
  readonly onlyRun: string | null;
  readonly allowRoots: readonly string[];
  readonly web: WebAccess;
  /** Opens a run's dataset where its record says that it is. */
  readonly openStorage: (location: string) => Storage;
  readonly outages: Outages;
  readonly meter: WorkerMeter;
  readonly log: Log;
  /** Told after each chunk that is counted; where it was the last of its run, the summary is there by then. */
  readonly onCounted?: () => void;
}

export interface Worker {
  /** Resolves once `close` has drained it; rejects with the error that ended it, chunks in hand having been given back. */
  readonly ended: Promise<void>;
  /** What executes the model, for example `onnx/cpu`. */
  readonly engine: string;
  /** Why it is this engine. */
  readonly whyEngine: string;
  /** Most images of one model call. */
  readonly batchSize: number;
  readonly whyBatchSize: string;
  /** Rows made in the chunks in hand, not committed yet. */
  rowsInHand(): number;
  /** What it says of itself at a scrape. */
  readonly figures: MetricSource;
  /** Finishes the chunks in hand within `drainTimeoutMs`, gives back the rest, and ends the compute child. */
  close(drainTimeoutMs: number): Promise<void>;
}

const proxyMessage = "web servers are reached through a proxy; which addresses it connects to is for it to decide";

/** Starts a worker; it works when this resolves. Throws MODEL_*, ENGINE_* and OPTION_INVALID. */
export async function startWorker(settings: WorkerSettings): Promise<Worker> {
  const { redis, options, host, onlyRun, outages, meter, onCounted = () => {} } = settings;
  const workerId = `${hostname()}-${randomBytes(4).toString("hex")}`;
  const log = withFields(settings.log, { workerId });
  const { cacheDir } = host;
  const model = await describeModel(cacheDir, options.model, options.precision);
  const { allowRoots, web } = settings;
  const fetcher = await openFetcher({ allowRoots, maxItemBytes: options.maxItemBytes, http: options, ...web });
  if (web.proxy !== null)
    log.warn(proxyMessage, { http: redactUri(web.proxy.http), https: redactUri(web.proxy.https) });
  const labels = await loadLabels(cacheDir, await resolveModel(cacheDir, options.model));
  const { compute, children } = await startChildren(computeSettings(model, options, host), options.devices, log);
  const limits = createProcessLimits({ ...options, batchSize: compute.report.batchSize, children }, compute);
  let rowsInHand = 0;
  const findRuns = createRunFinder({
    onlyRun,
    model,
    allowRoots,
    reports: createRunReports(redis, workerId),
    log,
    context: {
      redis,
      openStorage: settings.openStorage,
      fetcher,
      compute,
      window: createPredictionWindow(),
      limits,
      labels,
      meter,
      addRows: (delta) => {
        rowsInHand += delta;
      },
      onCounted,
      openQueue: (runId) => openRunQueue({ redis, runId, workerId, lockMs: options.lockMs, log }),
    },
  });
  const { chunksInFlight, lockMs } = options;
  const { isStarving } = limits;
  const consumer = startConsumer({ findRuns, chunksInFlight, isStarving, lockMs, workerId, outages, meter, log });
  const ended = consumer.ended.finally(() => compute.close()).finally(() => fetcher.close());
  // Awaited by the caller, perhaps later than it rejects.
  ended.catch(() => {});
  const { engine, why: whyEngine, batchSize, whyBatchSize } = compute.report;
  return {
    ended,
    engine,
    whyEngine,
    batchSize,
    whyBatchSize,
    rowsInHand: () => rowsInHand,
    figures: workerFigures({ meter, compute, model, slots: slotsOf(options, limits, children) }),
    async close(drainTimeoutMs) {
      await Promise.all([consumer.drain(drainTimeoutMs), ended]);
    },
  };
}

function slotsOf({ decodeConcurrency, chunksInFlight }: ResolvedOptions, limits: ProcessLimits, children: number) {
  return { fetch: limits.fetchesAtOnce, decode: decodeConcurrency, inference: children, commit: chunksInFlight };
}

/** One child, or one a GPU where GPUs are named. */
async function startChildren(
  settings: ComputeSettings,
  devices: DevicesRequest | null,
  log: Log,
): Promise<{ compute: ComputeClient; children: number }> {
  if (devices === null) return { compute: await startCompute(settings, { log }), children: 1 };
  requireCudaEngine(devices, settings.engine);
  const gpus = await requireGpus(devices, settings.driverEnv);
  log.info("starting a compute process on each GPU", { gpus: gpus.map(({ index, name }) => `${index}: ${name}`) });
  return { compute: await startDevices(settings, gpus, { log }), children: gpus.length };
}
