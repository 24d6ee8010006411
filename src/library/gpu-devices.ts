import { access } from "node:fs/promises";
import { platform } from "node:os";

/** Device files of GPUs on Linux: NVIDIA's driver, any other's, and Windows's below WSL. */
const deviceFiles = ["/dev/nvidiactl", "/dev/dri/renderD128", "/dev/dxg"];

/** A sign that this machine has a GPU, null where there is none. macOS and Windows always have one to offer. */
export async function findGpu(): Promise<string | null> {
  if (platform() !== "linux") return `of ${platform()}`;
  for (const path of deviceFiles) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

/** Whether a sign of `findGpu` is that of NVIDIA's driver, which CUDA needs. */
export const isNvidia = (gpu: string): boolean => gpu === "/dev/nvidiactl";
