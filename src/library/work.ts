import { resolve } from "node:path";
import { requireSinks } from "../delivery/sinks/open-sink.js";
import { createOutages } from "../shared/outages.js";
import type { Worker } from "../worker/start.js";
import { type CallOptions, resolveCall } from "./context.js";
import { ensureModel } from "./ensure-model.js";
import { startToldWorker } from "./health.js";
import { createDatasetOpener } from "./open-dataset.js";
import { requireRedis } from "./run-redis.js";
import { readSinkTargets } from "./sink-targets.js";
import { readWebAccess } from "./web-access.js";
import { startWorkDeliveries } from "./work-deliveries.js";

/**
 * Starts a worker that serves every run it can, until it is closed or `signal` aborts. Local files are read below `allowRoot` only.
 * Throws `LabelmillError`: OPTION_*, REDIS_*, MODEL_*, ENGINE_*.
 */
export async function startWorker(given: CallOptions = {}): Promise<Worker> {
  const context = resolveCall(given);
  const { options, places, log, signal } = context;
  await requireSinks(readSinkTargets(options.sink, places)).catch((error: unknown) => {
    context.release();
    throw error;
  });
  const { redis, close } = await requireRedis(context).catch((error: unknown) => {
    context.release();
    throw error;
  });
  try {
    await ensureModel(context);
    const allowRoots = options.allowRoot.map((root) => resolve(places.cwd, root));
    const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
    const openStorage = createDatasetOpener(context);
    const web = await readWebAccess(options, places);
    const settings = { redis, options, host: places, onlyRun: null, allowRoots, web, openStorage, outages, log };
    const worker = await startToldWorker(settings);
    const deliveries = startWorkDeliveries(context, redis);
    const ended = worker.ended.finally(() => {
      context.release();
      return deliveries.stop().finally(() => close({ discard: false }));
    });
    // Awaited by the caller, perhaps later than it rejects.
    ended.catch(() => {});
    const closeWorker = async (drainTimeoutMs: number) => {
      await Promise.all([worker.close(drainTimeoutMs), ended]);
    };
    // `ended` tells how it went.
    const onAbort = () => void closeWorker(options.drainTimeoutMs).catch(() => {});
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return { ...worker, ended, close: closeWorker };
  } catch (error) {
    context.release();
    await close({ discard: false });
    throw error;
  }
}
