/**
 * A dataset in a local directory (or a mounted one). A file is written under a temporary name in its own folder,
 * synced, and given its name with `link()`, which refuses to replace: so a reader never sees half a file, a crash
 * leaves only a temporary file, and the first commit wins however many processes try. Opened by `open-storage` only.
 */
import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, open, readdir, readFile, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import type { CreateOutcome, Storage } from "./storage.js";

const temporaryName = /^\.labelmill-[0-9a-f]{16}\.tmp$/;

/** Storage in the directory `location` (absolute). */
export function openLocalStorage(location: string): Storage {
  const at = (path: string) => join(location, path);
  return {
    location,
    read: (path) => absentAsNull(readFile(at(path)), at(path)),
    size: (path) => absentAsNull(sizeOf(at(path)), at(path)),
    readRange: (path, start, end) => failingAs(readFailure, at(path), () => readRange(at(path), start, end)),
    prepare: () => failingAs(writeFailure, location, () => makeFolder(location)),
    remove: (path) => failingAs(writeFailure, at(path), async () => void (await removeIfThere(at(path)))),
    createOnce: (path, bytes) => failingAs(writeFailure, at(path), () => createOnce(location, path, bytes)),
    list: (prefix) => failingAs(readFailure, at(prefix), () => listFolder(location, prefix)),
    sweep: (folders) =>
      failingAs(writeFailure, location, async () => {
        const removed = await Promise.all(folders.map((folder) => sweepFolder(at(folder))));
        return removed.reduce((sum, n) => sum + n, 0);
      }),
  };
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file)).size;
}

async function readRange(file: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  const handle = await open(file, "r");
  try {
    for (let filled = 0; filled < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) throw new Error(`the file ends at byte ${start + filled}, before byte ${end}`);
      filled += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return bytes;
}

async function createOnce(location: string, path: string, bytes: Uint8Array): Promise<CreateOutcome> {
  const file = join(location, path);
  const folder = dirname(file);
  // Names of folders below the location, outermost first.
  const names = path.split("/").slice(0, -1);
  for (let depth = 1; depth <= names.length; depth += 1) await makeOne(join(location, ...names.slice(0, depth)));
  const temporary = join(folder, `.labelmill-${randomBytes(8).toString("hex")}.tmp`);
  try {
    await writeSynced(temporary, bytes);
    const outcome = await linkOnce(temporary, file);
    await removeIfThere(temporary);
    // Also for the loser: it will report the winner's file as committed, so the name must be durable by then.
    await syncFolder(folder);
    return outcome;
  } catch (error) {
    // The first error is the one to report; if this fails too, sweep() takes the file later.
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "wx");
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function linkOnce(temporary: string, file: string): Promise<CreateOutcome> {
  try {
    await link(temporary, file);
    return "created";
  } catch (error) {
    const code = systemCode(error);
    // Over NFS a repeated request reports EEXIST for a link that this very call made: then our file has two names.
    if (code === "EEXIST") return (await linksOf(temporary)) > 1 ? "created" : "exists";
    // Swept from under us, which is done only where every file is there; or the folder is gone, which is trouble.
    if (code === "ENOENT" && (await linksOf(file)) > 0) return "exists";
    if (code === "EPERM" || code === "ENOTSUP" || code === "ENOSYS") {
      const reason = `the file system has no hard links, which committing needs (${messageOf(error)})`;
      throw new LabelmillError("STORAGE_FAILED", { path: file, reason }, { cause: error });
    }
    throw error;
  }
}

/** How many names the file has; 0 where there is none. */
async function linksOf(file: string): Promise<number> {
  try {
    return (await lstat(file)).nlink;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return 0;
    throw error;
  }
}

/**
 * Makes `folder` and whatever is missing above it, durable. Node's own recursive mkdir reports a read-only disk as
 * ENOENT.
 */
async function makeFolder(folder: string): Promise<void> {
  try {
    await makeOne(folder);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    await makeFolder(dirname(folder));
    await makeOne(folder);
  }
}

/** Makes `folder`, durable, unless it is there; the folder above it must be. */
async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return;
    throw error;
  }
  await syncFolder(dirname(folder));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a folder and say so; they make names durable by themselves.
    const code = systemCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP") throw error;
  } finally {
    await handle.close();
  }
}

async function listFolder(location: string, prefix: string): Promise<string[]> {
  const entries = await entriesOf(join(location, prefix));
  return entries
    .filter((entry) => !temporaryName.test(entry.name))
    .map((entry) => `${prefix}${entry.name}${entry.isDirectory() ? "/" : ""}`)
    .sort();
}

async function sweepFolder(folder: string): Promise<number> {
  let removed = 0;
  for (const entry of await entriesOf(folder)) {
    if (temporaryName.test(entry.name) && (await removeIfThere(join(folder, entry.name)))) removed += 1;
  }
  return removed;
}

/** False where the file is gone already: its writer, or another sweep, was first. */
async function removeIfThere(file: string): Promise<boolean> {
  try {
    await unlink(file);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function absentAsNull<T>(pending: Promise<T>, file: string): Promise<T | null> {
  try {
    return await pending;
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw readFailure(file, error);
  }
}

async function failingAs<T>(
  failure: (file: string, error: unknown) => LabelmillError,
  file: string,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof LabelmillError ? error : failure(file, error);
  }
}

function readFailure(file: string, error: unknown): LabelmillError {
  return new LabelmillError("STORAGE_FAILED", { path: file, reason: messageOf(error) }, { cause: error });
}

function writeFailure(file: string, error: unknown): LabelmillError {
  const code = systemCode(error);
  if (code === "ENOSPC" || code === "EDQUOT")
    return new LabelmillError("STORAGE_FULL", { path: file }, { cause: error });
  if (code === "EROFS" || code === "EACCES" || code === "EPERM") {
    return new LabelmillError("STORAGE_READ_ONLY", { path: file, reason: messageOf(error) }, { cause: error });
  }
  return readFailure(file, error);
}
