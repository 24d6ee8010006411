/**
 * What a dataset holds now. Its rows lie in its parts, or in what `results compact` made of them, and where a retry is newer, in
 * the parts of that. A retry lies in `retry-0001/` and the next numbers, has parts for the chunks that it changed, and counts
 * from the moment that its own summary is there: so nothing is replaced, and whoever reads sees the dataset before a retry or
 * after it. Every reader of complete datasets finds rows by this file; a run's own worker knows its own parts alone.
 */
import { readCompactedIndex } from "./compacted-index.js";
import {
  type PartFormat,
  parsePartPath,
  parseRetryPath,
  partsPrefix,
  type RowFile,
  retryPath,
  summaryPath,
} from "./layout.js";
import type { RowRange } from "./part-parquet-read.js";
import type { Storage } from "./storage/storage.js";
import { readSummary, type Summary } from "./summary.js";

/** Consecutive chunks whose rows are those of a file, or of a piece of it: the others in it are older than a retry's. */
export interface CurrentRows extends RowFile {
  /** The file as it lies. */
  readonly file: RowFile;
}

/** Numbers of the retries that lie in the dataset, complete or not, oldest first. */
export async function listRetries(storage: Storage): Promise<number[]> {
  const found = (await storage.list("")).flatMap((path) => parseRetryPath(path) ?? []);
  return found.sort((a, b) => a - b);
}

/** Of these those that are complete. */
export async function listCompleteRetries(storage: Storage): Promise<number[]> {
  const retries = await listRetries(storage);
  const sizes = await Promise.all(retries.map((n) => storage.size(`${retryPath(n)}/${summaryPath}`)));
  return retries.filter((_, i) => sizes[i] !== null);
}

/**
 * What holds the rows, in item order; retries from number `before` on are passed over. Throws `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`.
 */
export async function listCurrentRows(
  storage: Storage,
  format: PartFormat,
  before = Number.POSITIVE_INFINITY,
): Promise<readonly CurrentRows[]> {
  // The retries first: parts of one that completes meanwhile are not there for this reader.
  const retries = (await listCompleteRetries(storage)).filter((n) => n < before);
  const newer = new Map<number, RowFile>();
  for (const n of retries)
    for (const part of await listParts(storage, `${retryPath(n)}/${partsPrefix}`, format))
      newer.set(part.firstChunk, part);
  return [...withNewer(await listOwnFiles(storage, format), newer)];
}

/** Looks for the index once more behind the parts: it is made before the first of them goes, so without it the list was whole. */
async function listOwnFiles(storage: Storage, format: PartFormat): Promise<readonly RowFile[]> {
  const before = await readCompactedIndex(storage, format);
  if (before !== null) return before.files;
  const parts = await listParts(storage, partsPrefix, format);
  return (await readCompactedIndex(storage, format))?.files ?? parts;
}

async function listParts(storage: Storage, prefix: string, format: PartFormat): Promise<RowFile[]> {
  const parts = (await storage.list(prefix)).flatMap((path) => {
    const part = parsePartPath(path);
    return part?.format === format ? [{ path, firstChunk: part.chunk, chunks: 1 }] : [];
  });
  return parts.sort((a, b) => a.firstChunk - b.firstChunk);
}

function* withNewer(files: readonly RowFile[], newer: ReadonlyMap<number, RowFile>): Generator<CurrentRows> {
  for (const file of files) {
    const { path } = file;
    const end = file.firstChunk + file.chunks;
    let firstChunk = file.firstChunk;
    for (let chunk = firstChunk; newer.size > 0 && chunk < end; chunk += 1) {
      const part = newer.get(chunk);
      if (part === undefined) continue;
      if (chunk > firstChunk) yield { path, firstChunk, chunks: chunk - firstChunk, file };
      yield { ...part, file: part };
      firstChunk = chunk + 1;
    }
    if (firstChunk < end) yield { path, firstChunk, chunks: end - firstChunk, file };
  }
}

/** Where these rows are in their file, by its rows. Of the last chunk in it, whatever is there. */
export function rangeOf({ firstChunk, chunks, file }: CurrentRows, chunkSize: number): RowRange {
  const end = firstChunk + chunks;
  const isWholeEnd = end === file.firstChunk + file.chunks;
  return {
    from: (firstChunk - file.firstChunk) * chunkSize,
    to: isWholeEnd ? Number.POSITIVE_INFINITY : (end - file.firstChunk) * chunkSize,
  };
}

/** Where the rows of one of its chunks are, likewise. */
export function rowsOfChunk({ file }: CurrentRows, chunk: number, chunkSize: number): RowRange {
  return rangeOf({ path: file.path, firstChunk: chunk, chunks: 1, file }, chunkSize);
}

/** The one that has the rows of that chunk, or null. */
export function findRows(rows: readonly CurrentRows[], chunk: number): CurrentRows | null {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.firstChunk ?? 0) <= chunk) low = middle + 1;
    else high = middle;
  }
  const found = rows[low - 1];
  return found !== undefined && chunk < found.firstChunk + found.chunks ? found : null;
}

/** The summary of the newest retry that is complete, or that of the run itself; null while that is not complete. */
export async function readCurrentSummary(storage: Storage): Promise<Summary | null> {
  return readSummaryOf(storage, (await listCompleteRetries(storage)).at(-1));
}

/**
 * The summary and what holds the rows that it tells of, also where a retry completes in between. The summary is read first: it
 * is written last, so if it is there then all rows are. Throws as `listCurrentRows` does.
 */
export async function readCurrent(
  storage: Storage,
  format: PartFormat,
): Promise<{ readonly summary: Summary | null; readonly rows: readonly CurrentRows[] }> {
  const newest = (await listCompleteRetries(storage)).at(-1);
  const summary = await readSummaryOf(storage, newest);
  return { summary, rows: await listCurrentRows(storage, format, (newest ?? 0) + 1) };
}

function readSummaryOf(storage: Storage, retry: number | undefined): Promise<Summary | null> {
  return readSummary(storage, retry === undefined ? summaryPath : `${retryPath(retry)}/${summaryPath}`);
}
