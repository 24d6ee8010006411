import { readFile } from "node:fs/promises";

/** MiB of the process: the kernel's own mark of the highest resident memory, so that no peak falls between two samples (Linux). */
export async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}
