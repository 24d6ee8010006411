/**
 * `results compact`: large files in place of many small parts. In this order, so that a kill at any moment loses nothing, and
 * two at once do no harm: every large file is made, read back and compared row by row with its parts; then
 * `compacted/index.json` is made, of which the first wins, and from then on readers take the large files; then the parts go.
 * Doing it again goes on where it was.
 */
import { isDeepStrictEqual } from "node:util";
import { joinJsonlParts, joinParquetParts } from "../dataset/compacted.js";
import { type CompactedFile, createCompactedIndex, readCompactedIndex } from "../dataset/compacted-index.js";
import { readSealed } from "../dataset/items.js";
import {
  compactedIndexPath,
  compactedPath,
  compactedPrefix,
  type PartFormat,
  parsePartPath,
  partPath,
  partsPrefix,
} from "../dataset/layout.js";
import { readFileCounts, readPartRows } from "../dataset/part.js";
import { corrupt } from "../dataset/record-file.js";
import type { Row } from "../dataset/row.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import { openRunStorage } from "../dataset/run-storage.js";
import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary } from "../dataset/summary.js";
import { isCode, LabelmillError } from "../shared/errors.js";
import type { ReadingOptions } from "./open.js";

export interface CompactOptions extends ReadingOptions {
  /** A file ends behind the part with which it has this many bytes of them. */
  readonly targetBytes: number;
  /** Called after each file that is made and compared. */
  readonly onFile?: (done: { readonly chunks: number; readonly of: number }) => void;
}

/** What there is afterwards. */
export interface Compaction {
  readonly runId: string;
  /** Files that hold the rows. */
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Chunks whose rows they hold: as many parts as there were. */
  readonly chunks: number;
  /** Parts that this call removed. */
  readonly removed: number;
  /** The large files were there before, or no two parts go together. */
  readonly wasCompact: boolean;
}

/** Rows of a file, so that readers that take a file at a time still have little in hand. */
const mostRows = 2 ** 16;
/** Requests to a store at the same time. */
const atOnce = 16;

/** Throws RESULTS_INCOMPLETE, RUN_DATASET_CORRUPT where a part is missing or damaged (then all parts stay), STORAGE_*. */
export async function compactResults(out: string, options: CompactOptions): Promise<Compaction> {
  const { store, signal } = options;
  const place = openStorage(out, store, signal);
  const head = await readRunHead(place);
  if ((await readSummary(place)) === null)
    throw new LabelmillError("RESULTS_INCOMPLETE", { out: place.location, runId: head.runId });
  const dataset: Dataset = { head, storage: openRunStorage(place, head), signal, format: head.identity.format };
  const before = await readIndex(dataset);
  if (before === null) await makeFiles(dataset, options);
  const files = await readIndex(dataset);
  if (files === null) return { ...(await describeParts(dataset)), wasCompact: true };
  await requireFiles(dataset, files);
  const removed = await removeReplaced(dataset, files);
  // Whoever still makes files comes too late.
  await dataset.storage.sweep([compactedPrefix]);
  return { ...totalsOf(head, files), removed, wasCompact: before !== null };
}

interface Dataset {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly format: PartFormat;
  readonly signal: AbortSignal | undefined;
}

async function readIndex({ storage, format }: Dataset): Promise<readonly CompactedFile[] | null> {
  return (await readCompactedIndex(storage, format))?.files ?? null;
}

/** Makes the files and their index, unless there would be as many files as parts. */
async function makeFiles(dataset: Dataset, { targetBytes, onFile }: CompactOptions): Promise<void> {
  const { storage, head, signal } = dataset;
  try {
    const parts = await listParts(dataset);
    const groups = groupParts(parts, targetBytes);
    if (groups.length === parts.length) return;
    const files: CompactedFile[] = [];
    let chunks = 0;
    for (const group of groups) {
      signal?.throwIfAborted();
      files.push(await makeFile(dataset, group));
      chunks += group.length;
      onFile?.({ chunks, of: parts.length });
    }
    await createCompactedIndex(storage, { chunkSize: head.identity.chunkSize, files });
  } catch (error) {
    // Another call was first, and removes what this one still reads.
    const mayBeGone = isCode(error, "RUN_DATASET_CORRUPT") || isCode(error, "STORAGE_FAILED");
    if (mayBeGone && (await readIndex(dataset)) !== null) return;
    throw error;
  }
}

interface Part {
  readonly chunk: number;
  readonly path: string;
  readonly size: number;
  readonly rows: number;
}

/** Every part of the complete run, in order. */
async function listParts({ storage, head, format }: Dataset): Promise<readonly Part[]> {
  const sealed = await readSealed(storage);
  if (sealed === null) throw corrupt(storage, "items/sealed.json", "the run is complete, and its list is not");
  const { chunkSize } = head.identity;
  const chunks = Array.from({ length: sealed.chunks }, (_, chunk) => chunk);
  return mapAtOnce(chunks, async (chunk) => {
    const path = partPath(chunk, format);
    const size = await storage.size(path);
    if (size === null) throw corrupt(storage, path, "the run is complete, and this part is not there");
    return { chunk, path, size, rows: Math.min(chunkSize, sealed.items - chunk * chunkSize) };
  });
}

function groupParts(parts: readonly Part[], targetBytes: number): readonly (readonly Part[])[] {
  const groups: Part[][] = [];
  let [bytes, rows] = [Number.POSITIVE_INFINITY, 0];
  for (const part of parts) {
    if (bytes >= targetBytes || rows + part.rows > mostRows) {
      groups.push([]);
      [bytes, rows] = [0, 0];
    }
    groups.at(-1)?.push(part);
    bytes += part.size;
    rows += part.rows;
  }
  return groups;
}

/** One large file, equal to its parts. One that is there already, of a call that was killed, is compared just so. */
async function makeFile(dataset: Dataset, parts: readonly Part[]): Promise<CompactedFile> {
  const { storage, format } = dataset;
  const of = { firstChunk: parts[0]?.chunk ?? 0, chunks: parts.length };
  const path = compactedPath(of, format);
  if ((await storage.size(path)) === null) {
    const bytes = await (format === "jsonl" ? joinJsonlParts : joinParquetParts)(storage, parts);
    await storage.createOnce(path, bytes);
  }
  await requireEqual(dataset, { path, ...of }, parts);
  const bytes = await storage.size(path);
  if (bytes === null) throw corrupt(storage, path, "it vanished while it was read");
  return { path, ...of, rows: parts.reduce((sum, part) => sum + part.rows, 0), bytes };
}

/** Throws RUN_DATASET_CORRUPT unless the file holds the rows of these parts, to the bit, and says the same of them. */
async function requireEqual(
  { storage, head, signal }: Dataset,
  file: Pick<CompactedFile, "path" | "firstChunk" | "chunks">,
  parts: readonly Part[],
): Promise<void> {
  const differs = (what: string) =>
    corrupt(storage, file.path, `${what} than its parts; nothing was removed; delete this file, and compact again`);
  const counts = await readFileCounts(storage, file, head.identity.chunkSize);
  const rows = readPartRows<keyof Row>(storage, file.path);
  for (const { chunk, path } of parts) {
    signal?.throwIfAborted();
    const own = await readFileCounts(storage, { path, firstChunk: chunk, chunks: 1 });
    if (own === null) throw corrupt(storage, path, "it vanished while it was read");
    if (!isDeepStrictEqual(counts?.get(chunk), own.get(chunk))) throw differs("it has other counts");
    for await (const row of readPartRows<keyof Row>(storage, path)) {
      const found = await rows.next();
      if (found.done === true || !isDeepStrictEqual(found.value, row))
        throw differs(`its row of item ${row.item_index} is another`);
    }
  }
  if ((await rows.next()).done !== true) throw differs("it holds more rows");
}

/** The files were compared before the index was made; that they are still there is looked at before each removal. */
async function requireFiles({ storage }: Dataset, files: readonly CompactedFile[]): Promise<void> {
  await mapAtOnce(files, async ({ path, bytes }) => {
    const size = await storage.size(path);
    if (size !== bytes)
      throw corrupt(storage, path, `it has ${size ?? "no"} bytes, ${compactedIndexPath} says ${bytes}`);
  });
}

/** Removes parts that the files hold, and files of calls that were not first. Returns how many parts. */
async function removeReplaced(dataset: Dataset, files: readonly CompactedFile[]): Promise<number> {
  const { storage, format, signal } = dataset;
  const chunks = files.reduce((sum, file) => sum + file.chunks, 0);
  const parts = (await storage.list(partsPrefix)).filter((path) => {
    const part = parsePartPath(path);
    return part?.format === format && part.chunk < chunks;
  });
  const kept = new Set([compactedIndexPath, ...files.map(({ path }) => path)]);
  const others = (await storage.list(compactedPrefix)).filter((path) => path.endsWith(`.${format}`) && !kept.has(path));
  await mapAtOnce([...parts, ...others], async (path) => {
    signal?.throwIfAborted();
    await storage.remove(path);
  });
  return parts.length;
}

function totalsOf(head: RunHead, files: readonly Pick<CompactedFile, "rows" | "bytes" | "chunks">[]) {
  const sum = (of: "rows" | "bytes" | "chunks") => files.reduce((total, file) => total + file[of], 0);
  return { runId: head.runId, files: files.length, rows: sum("rows"), bytes: sum("bytes"), chunks: sum("chunks") };
}

/** Of a dataset whose parts are large enough. */
async function describeParts(dataset: Dataset): Promise<Omit<Compaction, "wasCompact">> {
  const parts = await listParts(dataset);
  const files = parts.map(({ rows, size }) => ({ rows, bytes: size, chunks: 1 }));
  return { ...totalsOf(dataset.head, files), removed: 0 };
}

/** In order; the first error ends it. */
async function mapAtOnce<T, U>(values: readonly T[], action: (value: T) => Promise<U>): Promise<U[]> {
  const results: U[] = [];
  for (let first = 0; first < values.length; first += atOnce)
    results.push(...(await Promise.all(values.slice(first, first + atOnce).map(action))));
  return results;
}
