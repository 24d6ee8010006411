/**
 * A worker with a server that tells how it is, where `--metrics-port` asks for one, and without where not. The server
 * listens while the model is loaded, so that a probe sees a start and not a refusal, and ends with the worker.
 */
import type { Log } from "../shared/log.js";
import type { MetricSource, Sample } from "../shared/metrics.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { Outages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { version } from "../shared/version.js";
import { createRedisCheck, judgeProgress, type Verdict } from "../worker/health/checks.js";
import { createWorkerMeter, type WorkerMeter } from "../worker/health/meter.js";
import { type HealthChecks, type HealthServer, startHealthServer } from "../worker/health/server.js";
import { startWorker, type Worker, type WorkerSettings } from "../worker/start.js";
import { queueFigures } from "./queue-figures.js";

/** Where scrapers look for an exporter of Prometheus that was given no port (its wiki, Default port allocations). */
const exporterPort = 9464;

/** Starts a worker as `startWorker` does, and what tells of it. Throws HEALTH_LISTEN besides. */
export async function startToldWorker(settings: Omit<WorkerSettings, "meter">): Promise<Worker> {
  const meter = createWorkerMeter();
  const { options, redis, outages, log } = settings;
  const state: WorkerState = { phase: "starting", figures: null };
  const watch = watchProgress({ meter, redis, outages, options });
  const server = await openServer(options.metricsPort, options, checksOf({ state, redis, watch, log }), log);
  try {
    const worker = await startWorker({ ...settings, meter });
    state.figures = worker.figures;
    state.phase = "working";
    const ended = worker.ended.finally(() => server?.close());
    // Awaited by the caller, perhaps later than it rejects.
    ended.catch(() => {});
    const close = async (drainTimeoutMs: number) => {
      state.phase = "draining";
      await Promise.all([worker.close(drainTimeoutMs), ended]);
    };
    return { ...worker, ended, close };
  } catch (error) {
    await server?.close();
    throw error;
  }
}

/** Serves the figures of a Redis alone, without a worker. Throws HEALTH_LISTEN. */
export async function startExporter(redis: Redis, options: ResolvedOptions, log: Log): Promise<HealthServer> {
  const isUp = createRedisCheck(redis);
  const checks: HealthChecks = {
    live: () => ({ ok: true, says: "answers" }),
    ready: async () => redisVerdict(await isUp()),
    sources: [buildFigures, queueFigures(redis, log)],
  };
  const { metricsHost: host, metricsPort } = options;
  return startHealthServer({ host, port: metricsPort ?? exporterPort }, checks, log);
}

interface WorkerState {
  phase: "starting" | "working" | "draining";
  figures: MetricSource | null;
}

async function openServer(
  port: number | null,
  { metricsHost: host }: ResolvedOptions,
  checks: HealthChecks,
  log: Log,
): Promise<HealthServer | null> {
  if (port === null) return null;
  const server = await startHealthServer({ host, port }, checks, log);
  log.info("serving /livez, /readyz and /metrics", { url: server.url });
  return server;
}

interface Watch {
  progress(): Verdict;
  readonly figures: MetricSource;
}

function checksOf({
  state,
  redis,
  watch,
  log,
}: {
  state: WorkerState;
  redis: Redis;
  watch: Watch;
  log: Log;
}): HealthChecks {
  const isUp = createRedisCheck(redis);
  return {
    // A start has ends of its own: the compute client's, who gives up on children that do not get ready.
    live: () => (state.phase === "starting" ? { ok: true, says: "the model is being loaded" } : watch.progress()),
    async ready() {
      if (state.phase === "starting") return { ok: false, says: "the model is being loaded" };
      if (state.phase === "draining") return { ok: false, says: "it is finishing what is in hand, and takes no more" };
      return redisVerdict(await isUp());
    },
    sources: [buildFigures, () => state.figures?.() ?? [], watch.figures, queueFigures(redis, log)],
  };
}

function redisVerdict(isUp: boolean): Verdict {
  return { ok: isUp, says: isUp ? "ready" : "Redis does not answer" };
}

const buildFigures = (): readonly Sample[] => [{ name: "labelmill_build_info", labels: { version }, value: 1 }];

interface Watched {
  readonly meter: WorkerMeter;
  readonly redis: Redis;
  readonly outages: Outages;
  readonly options: Pick<ResolvedOptions, "stallTimeoutMs">;
}

function watchProgress({ meter, redis, outages, options: { stallTimeoutMs } }: Watched): Watch {
  let redisBackMs = 0;
  redis.on("ready", () => {
    redisBackMs = performance.now();
  });
  const isWaiting = () => redis.status !== "ready" || outages.waits().isNow;
  const waitedUntilMs = () => Math.max(redisBackMs, outages.waits().untilMs);
  const nowMs = () => performance.now();
  return {
    progress() {
      const { stepAtMs, chunksInHand } = meter.counts;
      const waits = { isWaiting: isWaiting(), waitedUntilMs: waitedUntilMs() };
      return judgeProgress({ nowMs: nowMs(), stepAtMs, chunksInHand, ...waits, stallTimeoutMs });
    },
    figures: () => [
      { name: "labelmill_step_age_seconds", value: (nowMs() - meter.counts.stepAtMs) / 1000 },
      { name: "labelmill_waiting", value: isWaiting() ? 1 : 0 },
    ],
  };
}
