/**
 * A directory as a source: its files, depth first, in the byte order of their names, so that a later pass can go on after
 * any of them. Names are handled as bytes, since a file system does not promise UTF-8. Links to directories are not
 * followed (they may loop); links to files are items, and the fetcher decides whether they lead out of the tree.
 */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname } from "node:path";
import picomatch from "picomatch";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { uriOfPath } from "../../shared/file-uri.js";
import type { Selection, Source, SourceItem } from "./source.js";

const imageExtensions = new Set(
  ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "tif", "tiff", "avif", "heic", "heif"].map(
    (e) => `.${e}`,
  ),
);
const slash = Buffer.from("/");

/** `root` is an absolute path. The resume token is the item's path below it, in base64. */
export function openDirectory(root: string, selection: Selection): Source {
  const leftOut: Record<string, number> = {};
  const reasonToLeave = compileSelection(selection);
  const rootPath = Buffer.from(root);

  async function* walk(below: Buffer[], after: Buffer[] | null): AsyncGenerator<SourceItem> {
    for (const entry of await readEntries(joinPath([rootPath, ...below]))) {
      const order = after === null ? 1 : Buffer.compare(entry.name, after[0] ?? Buffer.alloc(0));
      if (order < 0) continue;
      const path = [...below, entry.name];
      if (entry.isDirectory()) yield* walk(path, order === 0 && after !== null ? after.slice(1) : null);
      else if (order > 0) yield* itemsOf(entry, path);
    }
  }

  async function* itemsOf(entry: Dirent<Buffer>, path: Buffer[]): AsyncGenerator<SourceItem> {
    const below = joinPath(path);
    const absolute = joinPath([rootPath, ...path]);
    const reason = reasonToLeave(below.toString("utf8")) ?? (await reasonOfLink(entry, absolute));
    if (reason === null) yield { uri: uriOfPath(absolute), token: below.toString("base64") };
    else leftOut[reason] = (leftOut[reason] ?? 0) + 1;
  }

  return {
    items: (after) => walk([], after === null ? null : splitPath(Buffer.from(after, "base64"))),
    leftOut: () => leftOut,
    roots: [root],
  };
}

/** Compiled once: why the file at a path below the root is not an item, or null. Globs without a slash match the name. */
function compileSelection({ include, exclude, allFiles }: Selection): (path: string) => string | null {
  const compile = (glob: string) => picomatch(glob, { dot: true, basename: !glob.includes("/") });
  const included = include.map(compile);
  const excluded = exclude.map(compile);
  return (path) => {
    if (excluded.some((matches) => matches(path))) return "excluded";
    if (included.length > 0) return included.some((matches) => matches(path)) ? null : "not included";
    return allFiles || imageExtensions.has(extname(path).toLowerCase()) ? null : "no image extension";
  };
}

async function readEntries(dir: Buffer): Promise<Dirent<Buffer>[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true, encoding: "buffer" });
    return entries.sort((a, b) => Buffer.compare(a.name, b.name));
  } catch (error) {
    throw new LabelmillError(
      "RUN_SOURCE_UNREADABLE",
      { path: uriOfPath(dir), reason: messageOf(error) },
      { cause: error },
    );
  }
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
