import { readFile } from "node:fs/promises";
import type { MetricSource, Sample } from "../../shared/metrics.js";
import type { ComputeClient } from "../compute-client/client.js";
import type { WorkerMeter } from "./meter.js";

/** A worker as it may be asked for its figures. */
export interface MeteredWorker {
  readonly meter: WorkerMeter;
  readonly compute: Pick<ComputeClient, "report" | "times" | "pids">;
  readonly model: { readonly name: string; readonly precision: string };
  /** How many of each stage may run at once. */
  readonly slots: Readonly<Record<"fetch" | "decode" | "inference" | "commit", number>>;
}

/** The figures of `workerMetrics`, but for those that need more than the worker. */
export function workerFigures({ meter, compute, model, slots }: MeteredWorker): MetricSource {
  return async () => {
    const { counts } = meter;
    const { decodeMs, inferMs, batches, images, restarts } = compute.times();
    const { engine, isOnGpu, batchSize } = compute.report;
    const stageMs = { ...counts.stageMs, decode: decodeMs, inference: inferMs };
    const device = isOnGpu ? "gpu" : "cpu";
    return [
      {
        name: "labelmill_engine_info",
        labels: { engine, device, model: model.name, precision: model.precision },
        value: 1,
      },
      { name: "labelmill_rows_total", labels: { status: "ok", code: "" }, value: counts.ok },
      ...[...counts.failures].map(([code, value]): Sample => {
        return { name: "labelmill_rows_total", labels: { status: "failed", code }, value };
      }),
      ...spread("labelmill_chunks_total", "outcome", counts.chunks),
      { name: "labelmill_chunks_in_hand", value: counts.chunksInHand },
      ...spread("labelmill_stage_seconds_total", "stage", stageMs, 1 / 1000),
      ...spread("labelmill_stage_slots", "stage", slots),
      { name: "labelmill_batches_total", value: batches },
      { name: "labelmill_batch_images_total", value: images },
      { name: "labelmill_batch_size", value: batchSize },
      { name: "labelmill_compute_restarts_total", value: restarts },
      { name: "labelmill_compute_resident_bytes", value: await residentBytes(compute.pids) },
      { name: "labelmill_lock_renewal_failures_total", value: counts.lockFailures },
    ];
  };
}

function spread(
  name: Sample["name"],
  label: string,
  values: Readonly<Record<string, number>>,
  factor = 1,
): readonly Sample[] {
  return Object.entries(values).map(([key, value]) => ({ name, labels: { [label]: key }, value: value * factor }));
}

/** By Linux's /proc (proc(5), VmRSS, in KiB); 0 where that is not there, or a child has just ended. */
async function residentBytes(pids: readonly number[]): Promise<number> {
  const each = pids.map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  });
  return (await Promise.all(each)).reduce((sum, bytes) => sum + bytes, 0);
}
