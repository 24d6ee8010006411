/**
 * Which CUDA GPUs a worker may use, and how a compute child is told to use one: CUDA reads that from the environment, once.
 * Asks NVIDIA's tool and the driver's files; loads no native code, as this runs in the process that holds the locks.
 */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import type { DevicesRequest } from "../shared/engine-names.js";
import { LabelmillError } from "../shared/errors.js";

export interface CudaGpu {
  /** As in `--devices`. */
  readonly index: number;
  /** For people. */
  readonly name: string;
  /** What a process needs in its environment to see this GPU alone. */
  readonly env: Readonly<Record<string, string>>;
}

/** What of the environment says which GPUs this process may use (CUDA C++ Programming Guide, environment variables). */
const visibleVariable = "CUDA_VISIBLE_DEVICES";
/** One directory a GPU, named by its PCI address. */
const driverDirectory = "/proc/driver/nvidia/gpus";

/** A driver that is sick lets its tool wait for ever, even past being killed, so its end is not waited for. */
const toolTimeoutMs = 10_000;

/** Those that were asked for. Throws ENGINE_DEVICE where one is not there, naming those that are. */
export async function requireGpus(
  asked: DevicesRequest,
  driverEnv: Readonly<Record<string, string>>,
): Promise<readonly CudaGpu[]> {
  const visible = driverEnv[visibleVariable];
  const found = visible === undefined ? await listGpus() : gpusOfVisible(visible);
  return chooseGpus(asked, found);
}

/** Pure part of `requireGpus`. */
export function chooseGpus(asked: DevicesRequest, found: readonly CudaGpu[]): readonly CudaGpu[] {
  const missing = asked === "all" ? [] : asked.filter((each) => !found.some(({ index }) => index === each));
  if (found.length > 0 && missing.length === 0)
    return found.filter(({ index }) => asked === "all" || asked.includes(index));
  const lacking =
    missing.length === 0 ? "there is no CUDA GPU here" : `there is no GPU ${missing.join(" and no GPU ")}`;
  const list = found.map(({ index, name }) => `${index} (${name})`).join(", ") || "none";
  throw new LabelmillError("ENGINE_DEVICE", { devices: String(asked), reason: `${lacking}; found: ${list}` });
}

/** GPUs that the environment leaves to this process: their numbers count from 0, as CUDA counts them then. */
export function gpusOfVisible(visible: string): readonly CudaGpu[] {
  const ids = visible.split(",").map((id) => id.trim());
  // CUDA ignores what follows an id that is none; "-1" is the usual way to say none.
  const end = ids.findIndex((id) => id === "" || id.startsWith("-"));
  return ids
    .slice(0, end < 0 ? ids.length : end)
    .map((id, index) => ({ index, name: `${visibleVariable} ${id}`, env: { [visibleVariable]: id } }));
}

async function listGpus(): Promise<readonly CudaGpu[]> {
  try {
    return gpusOfTool(
      (
        await promisify(execFile)("nvidia-smi", ["-L"], {
          signal: AbortSignal.timeout(toolTimeoutMs),
          killSignal: "SIGKILL",
        })
      ).stdout,
    );
  } catch {
    // No tool, or no driver for it; the driver's own files say which.
    const addresses = await readdir(driverDirectory).catch(() => []);
    return addresses.sort().map((name, index) => gpuOf(index, name));
  }
}

/** What `nvidia-smi -L` prints: `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)`, and lines further in for parts of a GPU. */
export function gpusOfTool(text: string): readonly CudaGpu[] {
  return [...text.matchAll(/^GPU (\d+): (.+?)(?: \(UUID: .*)?$/gm)].map(([, index, name]) =>
    gpuOf(Number(index), name ?? ""),
  );
}

/** Numbered by PCI address, as the tool does; by itself CUDA puts the fastest first. */
function gpuOf(index: number, name: string): CudaGpu {
  return { index, name, env: { [visibleVariable]: String(index), CUDA_DEVICE_ORDER: "PCI_BUS_ID" } };
}
