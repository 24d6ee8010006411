/**
 * Where an export is written: under a temporary name beside its own, and renamed when it is whole. So nobody sees half of
 * one, and what fails or is interrupted leaves nothing. Exports go to the local file system, wherever the dataset lies.
 */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";

/** A file or directory that is being written. */
export interface Target {
  /** Where it is for now. */
  readonly temporary: string;
  readonly path: string;
}

/** Bytes that wait before they are written. */
const bufferBytes = 1 << 20;

/**
 * Runs `write` on one target for each of `paths`, then gives them their names, in order. Throws RESULTS_EXISTS where one is
 * there and `force` is not given, before anything is written, and STORAGE_*; then nothing is left.
 */
export async function writeTargets<T>(
  paths: readonly string[],
  force: boolean,
  write: (targets: readonly Target[]) => Promise<T>,
): Promise<T> {
  for (const path of paths) await requireFree(path, force);
  const targets = paths.map((path) => {
    return { path, temporary: join(dirname(path), `.labelmill-${randomBytes(8).toString("hex")}.tmp`) };
  });
  try {
    for (const path of paths) await mkdir(dirname(path), { recursive: true });
    const result = await write(targets);
    for (const target of targets) await putInPlace(target, force);
    return result;
  } catch (error) {
    throw error instanceof LabelmillError ? error : writeFailure(paths[0] ?? "", error);
  } finally {
    for (const { temporary } of targets) await rm(temporary, { recursive: true, force: true });
  }
}

async function putInPlace({ path, temporary }: Target, force: boolean): Promise<void> {
  await requireFree(path, force);
  await rename(temporary, path);
}

/** `force` may replace a file, and never a directory: it may hold somebody's photos. */
async function requireFree(path: string, force: boolean): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return null;
    throw writeFailure(path, error);
  });
  if (found === null) return;
  if (force && !found.isDirectory()) return;
  const way = found.isDirectory()
    ? "a directory is never replaced; remove it first"
    : "it is replaced with --force alone";
  throw new LabelmillError("RESULTS_EXISTS", { path, way });
}

function writeFailure(path: string, error: unknown): LabelmillError {
  const code = systemCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return new LabelmillError("STORAGE_FULL", { path }, { cause: error });
  const details = { path, reason: messageOf(error) };
  const isRefused = code === "EACCES" || code === "EROFS" || code === "EPERM";
  return new LabelmillError(isRefused ? "STORAGE_READ_ONLY" : "STORAGE_FAILED", details, { cause: error });
}

/** A file that is written from its start to its end. */
export interface Output {
  write(data: string | Uint8Array): Promise<void>;
}

/** Runs `action` on a new file, which is durable afterwards; returns what it returns. */
export async function writeFile<T>(path: string, action: (output: Output) => Promise<T>): Promise<T> {
  const handle = await open(path, "wx");
  try {
    let pieces: Uint8Array[] = [];
    let size = 0;
    const flush = async () => {
      // Not by `writev`, which resolves where a full disk took a part alone.
      if (size > 0) await handle.writeFile(Buffer.concat(pieces));
      pieces = [];
      size = 0;
    };
    const write = async (data: string | Uint8Array) => {
      const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
      pieces.push(bytes);
      size += bytes.length;
      if (size >= bufferBytes) await flush();
    };
    const result = await action({ write });
    await flush();
    await handle.sync();
    return result;
  } finally {
    await handle.close();
  }
}
