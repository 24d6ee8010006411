import type { DevicesRequest } from "../../shared/engine-names.js";
import { LabelmillError } from "../../shared/errors.js";
import type { ComputeSettings, EngineReport } from "../compute/protocol.js";
import type { CudaGpu } from "../cuda-gpus.js";
import { isCudaEngine } from "../model/engine-choice.js";
import type { ComputeClient } from "./client.js";
import { poolClients } from "./pool.js";
import { type StartComputeOptions, startCompute } from "./start.js";

/**
 * Refuses `--devices` for an engine that cannot be told which GPU to take, before anything is started; throws
 * ENGINE_DEVICE. What `auto` finds is known only once it runs.
 */
export function requireCudaEngine(devices: DevicesRequest, engine: ComputeSettings["engine"]): void {
  if (engine !== "auto" && !isCudaEngine(engine)) throw refusal(devices, `engine ${engine} cannot be given one`);
}

/**
 * Starts a child on each of `gpus`, which sees that GPU alone, and makes one client of them; the decodes at once are shared
 * out. Throws what `startCompute` throws, and ENGINE_DEVICE where an engine does not run on CUDA; then no child is left.
 */
export async function startDevices(
  settings: ComputeSettings,
  gpus: readonly CudaGpu[],
  { log }: StartComputeOptions = {},
): Promise<ComputeClient> {
  const decodeConcurrency = Math.ceil(settings.decodeConcurrency / gpus.length);
  const starts = await Promise.allSettled(
    gpus.map(({ index, env }) => {
      const warn = (message: string, details?: object) => log?.warn(message, { ...details, gpu: index });
      const driverEnv = { ...settings.driverEnv, ...env };
      return startCompute({ ...settings, decodeConcurrency, driverEnv }, log === undefined ? {} : { log: { warn } });
    }),
  );
  const clients = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  try {
    for (const start of starts) if (start.status === "rejected") throw start.reason;
    const numbers = gpus.map(({ index }) => index);
    requireSameGpuEngine(
      numbers,
      clients.map(({ report }) => report),
    );
    return poolClients(clients);
  } catch (error) {
    await Promise.all(clients.map((client) => client.close()));
    throw error;
  }
}

/**
 * Refuses what children on `devices` run on, unless each runs on CUDA and all on the same engine, since a run says of all its
 * rows which one made them; throws ENGINE_DEVICE.
 */
export function requireSameGpuEngine(devices: DevicesRequest, reports: readonly EngineReport[]): void {
  for (const { chosen, isOnGpu, engine, why } of reports) {
    if (isCudaEngine(chosen) && isOnGpu) continue;
    throw refusal(devices, `engine ${engine} was taken (${why}), which runs on none of them`);
  }
  const engines = [...new Set(reports.map(({ engine }) => engine))];
  if (engines.length > 1) throw refusal(devices, `not all of them run the same engine, but ${engines.join(" and ")}`);
}

function refusal(devices: DevicesRequest, found: string): LabelmillError {
  const reason = `it chooses among CUDA GPUs, and ${found}; leave it out, or take --engine tensorflow or onnx-cuda`;
  return new LabelmillError("ENGINE_DEVICE", { devices: String(devices), reason });
}
