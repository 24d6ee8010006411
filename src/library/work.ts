import { resolve } from "node:path";
import { startWorker as startWorkerProcess, type Worker } from "../worker/start.js";
import { type CallOptions, resolveCall } from "./context.js";
import { ensureModel } from "./ensure-model.js";
import { requireRedis } from "./run-redis.js";

/**
 * Starts a worker that serves every run it can, until it is closed. Local files are read below `allowRoot` only.
 * Throws `LabelmillError`: OPTION_*, REDIS_*, MODEL_*, ENGINE_*.
 */
export async function startWorker(given: CallOptions = {}): Promise<Worker> {
  const context = resolveCall(given);
  const { options, places, log } = context;
  const { redis, close } = await requireRedis(context);
  try {
    await ensureModel(context);
    const allowRoots = options.allowRoot.map((root) => resolve(places.cwd, root));
    const settings = { redis, options, cacheDir: places.cacheDir, onlyRun: null, allowRoots, log };
    const worker = await startWorkerProcess(settings);
    const ended = worker.ended.finally(() => close({ discard: false }));
    // Awaited by the caller, perhaps later than it rejects.
    ended.catch(() => {});
    return {
      ...worker,
      ended,
      async close(drainTimeoutMs) {
        await Promise.all([worker.close(drainTimeoutMs), ended]);
      },
    };
  } catch (error) {
    await close({ discard: false });
    throw error;
  }
}
