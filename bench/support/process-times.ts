import { readdir, readFile } from "node:fs/promises";

/** Kernel ticks of /proc are hundredths of a second on every Linux that Node runs on (proc(5), USER_HZ). */
const ticksPerSecond = 100;

/** CPU seconds of this process's children that have ended, and of theirs (Linux). */
export async function childCpuSeconds(): Promise<number> {
  const stat = await readFile("/proc/self/stat", "utf8");
  // Fields are counted behind the name, which may hold spaces: 14 and 15 of that rest are cutime and cstime minus 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

/** Resident memory of a process in MiB, or null where it has ended (Linux). */
export async function residentMebibytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => null);
  const kibibytes = status === null ? undefined : /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) / 1024;
}

/** Process ids of the direct children (Linux). */
export async function childrenOf(pid: number): Promise<number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return list.trim().split(" ").filter(Boolean).map(Number);
}

/** Files, sockets and pipes that a process has open (Linux). */
export async function openHandles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}

/** The kernel's own mark of the highest resident memory, so that no peak falls between two samples (Linux). */
export async function peakResidentMebibytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}
