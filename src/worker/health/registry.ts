import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { type MetricName, type MetricSource, type MetricSpec, metricTable } from "../../shared/metrics.js";

/** The content type of what `writeMetrics` gives: the text format of Prometheus (prometheus.io, exposition formats). */
export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE;

/** Of the process, so made once, whatever number of workers a library's caller starts in it. */
let ofProcess: Registry | null = null;

/** Asks every source, and writes what they say with the figures of the process: event loop, memory, collections. */
export async function writeMetrics(sources: readonly MetricSource[]): Promise<string> {
  ofProcess ??= registerProcess();
  const samples = (await Promise.all(sources.map((source) => source()))).flat();
  // Made anew each time, so that what has no value now, a run that ended or the memory of a Redis that is away, is absent.
  const registry = new Registry();
  const metrics = new Map<MetricName, Counter | Gauge>();
  for (const { name, labels = {}, value } of samples) {
    const metric = metrics.get(name) ?? createMetric(name, registry);
    metrics.set(name, metric);
    metric.inc(labels, value);
  }
  return Registry.merge([registry, ofProcess]).metrics();
}

function createMetric(name: MetricName, registry: Registry): Counter | Gauge {
  const { type, help, labels }: MetricSpec = metricTable[name];
  const config = { name, help, labelNames: [...labels], registers: [registry] };
  return type === "counter" ? new Counter(config) : new Gauge(config);
}

function registerProcess(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
