import { access } from "node:fs/promises";
import { platform } from "node:os";
import type { EngineName } from "../../shared/engine-names.js";
import { isCudaEngine, needsGpu } from "./engine-choice.js";

/** Device files of GPUs on Linux: NVIDIA's driver, any other's, and Windows's below WSL. */
const deviceFiles = ["/dev/nvidiactl", "/dev/dri/renderD128", "/dev/dxg"];
/** Those that CUDA works through. */
const cudaDeviceFiles = ["/dev/nvidiactl", "/dev/dxg"];

/** A sign that this machine has a GPU, null where there is none. macOS and Windows always have one to offer. */
export async function findGpu(): Promise<string | null> {
  return platform() === "linux" ? firstPresent(deviceFiles) : `of ${platform()}`;
}

/** Whether this machine has a GPU of the kind that `engine` can run on; false for an engine that runs on none. */
export async function hasGpuFor(engine: EngineName): Promise<boolean> {
  if (isCudaEngine(engine)) return (await firstPresent(cudaDeviceFiles)) !== null;
  return needsGpu(engine) && (await findGpu()) !== null;
}

async function firstPresent(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}
