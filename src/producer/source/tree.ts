/**
 * The walk that directories and globs share: files below a root, depth first, in the byte order of their names, so that a
 * later pass can go on after any of them. Names are handled as bytes, since a file system does not promise UTF-8. Links to
 * directories are not followed (they may loop); links to files are items, and the fetcher decides whether they lead out of
 * the tree.
 */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { type Failure, failure, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { uriOfPath } from "../../shared/file-uri.js";
import type { Source, SourceItem } from "./source.js";

const slash = Buffer.from("/");
const noName = Buffer.alloc(0);

/** What of a tree is wanted. Paths are below the root, as text. */
export interface TreeFilter {
  /** Why a file is not an item, or null. */
  readonly reasonToLeave: (path: string) => string | null;
  /** Whether a directory may hold items. */
  readonly mayHold: (path: string) => boolean;
}

/** `root` is an absolute path. The resume token is the item's path below it, in base64. */
export function openTree(root: string, { reasonToLeave, mayHold }: TreeFilter): Source {
  const leftOut: Record<string, number> = {};
  const rootPath = Buffer.from(root);

  async function* walk(below: Buffer[], after: Buffer[] | null): AsyncGenerator<SourceItem> {
    const dir = joinPath([rootPath, ...below]);
    const entries = await readEntries(dir);
    if (!("code" in entries)) yield* itemsAmong(entries, below, after);
    // Its token ends in a slash, so that it is not given again, and is entered where it can be read by then.
    else if (after?.[0]?.equals(noName) !== true)
      yield { uri: uriOfPath(dir), token: joinPath([...below, noName]).toString("base64"), failure: entries };
  }

  async function* itemsAmong(
    entries: readonly Dirent<Buffer>[],
    below: Buffer[],
    after: Buffer[] | null,
  ): AsyncGenerator<SourceItem> {
    for (const entry of entries) {
      const order = after === null ? 1 : Buffer.compare(entry.name, after[0] ?? noName);
      if (order < 0) continue;
      const path = [...below, entry.name];
      if (entry.isDirectory()) yield* enter(path, order === 0 ? after : null);
      else if (order > 0) yield* itemsOf(entry, path);
    }
  }

  async function* enter(path: Buffer[], after: Buffer[] | null): AsyncGenerator<SourceItem> {
    if (mayHold(joinPath(path).toString("utf8"))) yield* walk(path, after?.slice(1) ?? null);
  }

  async function* itemsOf(entry: Dirent<Buffer>, path: Buffer[]): AsyncGenerator<SourceItem> {
    const below = joinPath(path);
    const absolute = joinPath([rootPath, ...path]);
    const reason = reasonToLeave(below.toString("utf8")) ?? (await reasonOfLink(entry, absolute));
    if (reason === null) yield { uri: uriOfPath(absolute), token: below.toString("base64") };
    else leftOut[reason] = (leftOut[reason] ?? 0) + 1;
  }

  /** A directory below the root that this user may not read, or nobody can, is a row; the others are read. */
  async function readEntries(dir: Buffer): Promise<Dirent<Buffer>[] | Failure> {
    try {
      const entries = await readdir(dir, { withFileTypes: true, encoding: "buffer" });
      return entries.sort((a, b) => Buffer.compare(a.name, b.name));
    } catch (error) {
      const refusal = dir.equals(rootPath) ? null : refusalOf(dir, systemCode(error));
      if (refusal !== null) return refusal;
      const details = { path: uriOfPath(dir), reason: messageOf(error) };
      throw new LabelmillError("RUN_SOURCE_UNREADABLE", details, { cause: error });
    }
  }

  return {
    items: (after) => walk([], after === null ? null : splitPath(Buffer.from(after, "base64"))),
    leftOut: () => leftOut,
    roots: [root],
  };
}

/** Of a directory; null where something else is wrong, which may pass. */
function refusalOf(dir: Buffer, code: string | undefined): Failure | null {
  if (code === "EACCES" || code === "EPERM") return failure("FETCH_DENIED", { uri: uriOfPath(dir) });
  if (code !== "ENAMETOOLONG") return null;
  return failure("ITEM_INVALID", { reason: `its path has ${dir.length} bytes, more than this system reads` });
}

async function reasonOfLink(entry: Dirent<Buffer>, path: Buffer): Promise<string | null> {
  if (!entry.isSymbolicLink()) return null;
  // A broken link is an item: the row says that nothing is there.
  const target = await stat(path).catch(() => null);
  return target?.isDirectory() ? "link to a directory" : null;
}

function joinPath(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [slash, part])));
}

function splitPath(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = path.indexOf(slash); end >= 0; end = path.indexOf(slash, start)) {
    parts.push(path.subarray(start, end));
    start = end + 1;
  }
  return [...parts, path.subarray(start)];
}
