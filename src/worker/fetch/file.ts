/**
 * Reads local files, and only those that a worker may read. It defends against what a list of paths can hold: links out
 * of the allowed roots, FIFOs and devices (opening one may block or act), files that grow while they are read, and names
 * that are not UTF-8. It is not a sandbox against another process of the same user, beyond checking the opened descriptor
 * again. `open-fetcher` makes a fetcher of whole files and one of parts of them of it.
 */
import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, readlink, realpath, stat } from "node:fs/promises";
import { type Failure, failure, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { pathOfUri } from "../../shared/file-uri.js";
import { failedWith, type Outcome, succeeded } from "../outcome.js";
import { type Admit, admitAtOnce, type Fetcher } from "./fetcher.js";
import type { PartBytes, ReadPart } from "./read-part.js";

/** A directory (or single file) that files may lie below. */
export interface FileRoot {
  /** Real path, as bytes. */
  readonly path: Buffer;
  /** As it was given, absolute: perhaps through a link. */
  readonly given: Buffer;
  readonly isDirectory: boolean;
  /** Id of the file system that it was on when the worker started. */
  readonly device: number;
}

/** A file as it may be read: a uri for messages, and an absolute path. */
export interface NamedFile {
  readonly uri: string;
  readonly path: Buffer;
}

/** A regular file below a root, open. */
export interface OpenedFile {
  readonly uri: string;
  readonly handle: FileHandle;
  readonly stats: Stats;
}

/** Opens a file and gives it to `read`; what stands in the way, and the system's errors, are failure values. */
export type FileReader = <T>(
  file: NamedFile,
  read: (file: OpenedFile) => Promise<Outcome<T>>,
  signal: AbortSignal,
  admit: Admit,
) => Promise<Outcome<T>>;

/** The first read of a file that reports no size (some network and virtual file systems do), in bytes. */
const smallestReadBytes = 64 * 1024;
/** Never follows a link put in the file's place after the checks, never waits for a FIFO's writer. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Thrown and caught inside this file: the checks read as a sequence, their failures are values outside. */
class Refused extends Error {
  readonly failure: Failure;

  constructor(refusal: Failure) {
    super(refusal.message);
    this.failure = refusal;
  }
}

/** Of files below `roots`. Throws STORAGE_FAILED where not the file but its place fails. */
export function createFileReader(roots: readonly FileRoot[]): FileReader {
  return async (file, read, signal, admit) => {
    const release = await admit("disk");
    try {
      signal.throwIfAborted();
      return await readBelowRoot(file, roots, read);
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof Refused) return failedWith(thrown.failure);
      await refuseOutage(file, thrown, roots);
      return failedWith(systemFailure(file.uri, thrown));
    } finally {
      release();
    }
  };
}

/** A fetcher of absolute paths and local `file:` uris. Etags are null: a file has none. */
export function createFileFetcher(read: FileReader, maxItemBytes: number): Fetcher {
  return {
    async fetch(uri, signal, admit = admitAtOnce) {
      const path = pathOfUri(uri);
      if (path === null) return failedWith(failure("FETCH_UNSUPPORTED", { uri, reason: notLocal }));
      return read({ uri, path }, (file) => wholeFile(file, maxItemBytes, signal), signal, admit);
    },
  };
}

/** A reader of parts of files. */
export function createFilePartReader(read: FileReader): ReadPart {
  return async ({ archive, shown: uri, offset, length }, signal, admit) => {
    const path = pathOfUri(archive);
    if (path === null) return failedWith(failure("FETCH_UNSUPPORTED", { uri, reason: notLocal }));
    return read({ uri, path }, (file) => partOfFile(file, { offset, length }), signal, admit);
  };
}

const notLocal = "expected a file: uri with an absolute local path";

async function wholeFile({ uri, handle, stats }: OpenedFile, limit: number, signal: AbortSignal) {
  const bytes = await readWhole(uri, handle, stats.size, limit, signal);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return succeeded({ bytes, sha256, etag: null, modifiedAt: stats.mtime });
}

async function partOfFile(
  { uri, handle, stats }: OpenedFile,
  { offset, length }: { offset: number; length: number },
): Promise<Outcome<PartBytes>> {
  const reason = `the shard ends at byte ${stats.size}`;
  if (offset + length > stats.size)
    return failedWith(failure("FETCH_TRUNCATED", { uri, bytes: Math.max(stats.size - offset, 0), reason }));
  const bytes = Buffer.allocUnsafeSlow(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await handle.read(bytes, read, length - read, offset + read);
    if (bytesRead === 0)
      return failedWith(failure("FETCH_TRUNCATED", { uri, bytes: read, reason: "the shard shrinks" }));
    read += bytesRead;
  }
  return succeeded({ bytes, etag: null, modifiedAt: stats.mtime });
}

async function readBelowRoot<T>(
  { uri, path: named }: NamedFile,
  roots: readonly FileRoot[],
  read: (file: OpenedFile) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  // Node refuses such a path by throwing a usage error; no file has such a name.
  if (named.includes(0)) return failedWith(failure("POLICY_PATH", { uri, reason: "its name holds a NUL byte" }));
  const path = await realpath(named, { encoding: "buffer" });
  requireBelowRoot(uri, path, roots);
  requireRegular(uri, await stat(path));
  const handle = await open(path, openFlags);
  try {
    const stats = await handle.stat();
    requireRegular(uri, stats);
    await requireOpenedBelowRoot(uri, handle, roots);
    return await read({ uri, handle, stats });
  } finally {
    await handle.close();
  }
}

function requireBelowRoot(uri: string, path: Buffer, roots: readonly FileRoot[]): void {
  if (roots.some((root) => isBelow(root.path, path))) return;
  throw new Refused(failure("POLICY_PATH", { uri, reason: "it lies outside the allowed directories" }));
}

function isBelow(root: Buffer, path: Buffer): boolean {
  if (!path.subarray(0, root.length).equals(root)) return false;
  const slash = 0x2f;
  return path.length === root.length || root.at(-1) === slash || path[root.length] === slash;
}

function requireRegular(uri: string, stats: Stats): void {
  if (!stats.isFile()) throw new Refused(failure("POLICY_PATH", { uri, reason: `it is ${kindOf(stats)}` }));
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return stats.isCharacterDevice() || stats.isBlockDevice() ? "a device" : "not a file";
}

/**
 * Asks the kernel where the opened file really is, as a directory above it may have become a link since the path was
 * resolved. Where there is no /proc (other systems, some containers) the earlier checks have to do.
 */
async function requireOpenedBelowRoot(uri: string, handle: FileHandle, roots: readonly FileRoot[]): Promise<void> {
  let opened: Buffer;
  try {
    opened = await readlink(`/proc/self/fd/${handle.fd}`, { encoding: "buffer" });
  } catch (thrown) {
    if (systemCode(thrown) === "ENOENT" || systemCode(thrown) === "EACCES") return;
    throw thrown;
  }
  requireBelowRoot(uri, opened, roots);
}

/** Reads to the end of the file, which may have grown since `size` was taken, but never past the limit. */
async function readWhole(
  uri: string,
  handle: FileHandle,
  size: number,
  limit: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const tooLarge = (bytes: number): Refused => new Refused(failure("FETCH_TOO_LARGE", { uri, bytes, limit }));
  if (size > limit) throw tooLarge(size);
  // One byte more than expected, so that the end of an ordinary file shows without a second buffer.
  let buffer = Buffer.allocUnsafeSlow(Math.min(limit, Math.max(size, smallestReadBytes)) + 1);
  let length = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > limit) throw tooLarge(length);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(limit + 1, length * 2));
  }
}

/** Errors that say nothing of the file: the process or the machine has run out of something, or a server is away. */
const outageCodes: readonly unknown[] = [
  ...["EMFILE", "ENFILE", "ENOMEM"],
  ...["ESTALE", "ENODEV", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ETIMEDOUT"],
];

/**
 * Throws STORAGE_FAILED where the file may well be sound and its place is not: else a directory that is unmounted in the
 * middle of a run would turn all that is left of it into rows of FETCH_NOT_FOUND.
 */
async function refuseOutage(
  { uri, path: named }: NamedFile,
  thrown: unknown,
  roots: readonly FileRoot[],
): Promise<void> {
  const code = systemCode(thrown);
  const outage = (path: string, reason: string) =>
    new LabelmillError("STORAGE_FAILED", { path, reason }, { cause: thrown });
  if (outageCodes.includes(code)) throw outage(uri, messageOf(thrown));
  if (code !== "ENOENT" && code !== "ENOTDIR") return;
  for (const root of roots) {
    const isAbove = isBelow(root.path, named) || isBelow(root.given, named);
    if (isAbove && root.isDirectory && (await hasVanished(root))) {
      throw outage(root.given.toString(), "the source is gone, or is not mounted");
    }
  }
}

/** An unmounted directory is not there, or is an empty one of another file system. */
async function hasVanished({ given, device }: FileRoot): Promise<boolean> {
  const found = await stat(given).catch(() => null);
  if (found === null) return true;
  return found.dev !== device && (await readdir(given)).length === 0;
}

function systemFailure(uri: string, thrown: unknown): Failure {
  switch (systemCode(thrown)) {
    case "ENOENT":
    case "ENOTDIR":
    case "ENAMETOOLONG":
      return failure("FETCH_NOT_FOUND", { uri });
    case "EACCES":
    case "EPERM":
      return failure("FETCH_DENIED", { uri });
    case "ELOOP":
      return failure("POLICY_PATH", { uri, reason: "its links lead in a circle, or it became a link" });
    case "ENXIO":
    case "EISDIR":
      return failure("POLICY_PATH", { uri, reason: "it was replaced by something that is not a file" });
    default:
      // Node appends the call and the path (", open '/…'"); the template has the uri already.
      return failure("FETCH_FAILED", { uri, reason: messageOf(thrown).replace(/, \w+( '.*)?$/s, "") });
  }
}
