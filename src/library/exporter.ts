import { type CallOptions, resolveCall } from "./context.js";
import { startExporter } from "./health.js";
import { requireRedis } from "./run-redis.js";

/** An exporter at work. */
export interface Exporter {
  /** `http://127.0.0.1:9464` */
  readonly url: string;
  /** Resolves once `signal` has aborted, or `close` was called. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves the figures of all runs of one Redis, without a model and without work: what workers are scaled by has to be there
 * when there are no workers. Throws `LabelmillError`: OPTION_*, REDIS_*, HEALTH_LISTEN.
 */
export async function exportMetrics(given: CallOptions = {}): Promise<Exporter> {
  const context = resolveCall(given);
  const { options, log, signal } = context;
  const { redis, close: closeRedis } = await requireRedis(context).catch((error: unknown) => {
    context.release();
    throw error;
  });
  const server = await startExporter(redis, options, log).catch(async (error: unknown) => {
    context.release();
    await closeRedis({ discard: false });
    throw error;
  });
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  }).then(async () => {
    context.release();
    await server.close();
    await closeRedis({ discard: false });
  });
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return {
    url: server.url,
    ended,
    async close() {
      end();
      await ended;
    },
  };
}
