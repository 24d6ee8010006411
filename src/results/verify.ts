/**
 * The oracle: does a dataset keep the promise? It reads the pinned list and every part, embeddings included, and compares
 * them item by item, then the counts with the footers, the seal and the summary. It trusts no counter. Called by
 * `labelmill results verify` and by the tests; needs neither Redis nor the model.
 */

import { type CurrentRows, findRows, readCurrent } from "../dataset/current-rows.js";
import { chunkItems, type PinnedItem, readSealed, readSegments, type Sealed } from "../dataset/items.js";
import { compactedPrefix, parsePartPath, partPath, partsPrefix } from "../dataset/layout.js";
import { countRows, type PartCounts, type Row } from "../dataset/row.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { Summary } from "../dataset/summary.js";
import { isCode } from "../shared/errors.js";
import { type ChunkReader, createChunkReader } from "./chunk-reader.js";
import type { ReadingOptions } from "./open.js";

export interface Verification {
  readonly runId: string;
  /** The summary is there, so nothing may be missing. */
  readonly complete: boolean;
  /** Pinned items. */
  readonly items: number;
  readonly rows: number;
  readonly ok: number;
  readonly failed: number;
  /** Chunks whose rows are there, in as many files or in fewer that `compact` has made. */
  readonly parts: number;
  /** What is wrong, one sentence each; empty for a sound dataset. A run that goes on lacks parts, which is not wrong. */
  readonly problems: readonly string[];
}

/** Checks the dataset at `out`. Throws only where it cannot be read at all: RUN_NOT_A_DATASET, RUN_SCHEMA, STORAGE_*. */
export async function verifyResults(out: string, { store, signal }: ReadingOptions = {}): Promise<Verification> {
  const storage = openStorage(out, store, signal);
  const head = await readRunHead(storage);
  const { summary, rows: files } = await readCurrent(storage, head.identity.format);
  const sealed = await readSealed(storage);
  const reader = createChunkReader(storage, files, head.identity.chunkSize);
  const problems: string[] = [];
  const totals = { items: 0, rows: 0, ok: 0, failed: 0, parts: 0, chunks: 0 };
  for await (const segment of readSegments(storage)) {
    totals.items += segment.items.length;
    for (let chunk = segment.firstChunk; chunk < segment.firstChunk + segment.chunks; chunk += 1) {
      totals.chunks += 1;
      signal?.throwIfAborted();
      const path = findRows(files, chunk)?.path ?? partPath(chunk, head.identity.format);
      const counts = await verifyPart({ reader, head, path, chunk, items: chunkItems(segment, chunk) }, problems);
      if (counts === null) continue;
      totals.parts += 1;
      totals.rows += counts.items;
      totals.ok += counts.ok;
      totals.failed += counts.failed;
    }
  }
  await findStrayFiles(storage, { head, files, chunks: totals.chunks }, problems);
  compareTotals(totals, { summary, sealed }, problems);
  const { items, rows, ok, failed, parts } = totals;
  return { runId: head.runId, complete: summary !== null, items, rows, ok, failed, parts, problems };
}

interface ChunkToVerify {
  readonly reader: ChunkReader;
  /** Of the file that holds it. */
  readonly path: string;
  readonly head: RunHead;
  readonly chunk: number;
  readonly items: readonly PinnedItem[];
}

/** The counts of the chunk's rows, or null where it has no part. */
async function verifyPart(
  { reader, head, path, chunk, items }: ChunkToVerify,
  problems: string[],
): Promise<PartCounts | null> {
  try {
    const claimed = await reader.counts(chunk);
    if (claimed === null) return null;
    const rows = await reader.rows(chunk);
    const counts = countRows(rows);
    if (!sameCounts(claimed, counts)) problems.push(`${path} says that it holds other counts than its rows`);
    const wrong = rows.findIndex((row, i) => !isRowOf(row, items[i], head.runId));
    if (rows.length !== items.length) problems.push(`${path} holds ${rows.length} rows for ${items.length} items`);
    else if (wrong >= 0) problems.push(`${path} holds another row than that of item ${items[wrong]?.index}`);
    return counts;
  } catch (error) {
    if (!isCode(error, "RUN_DATASET_CORRUPT")) throw error;
    problems.push(error.message);
    return null;
  }
}

function isRowOf(row: Row, item: PinnedItem | undefined, runId: string): boolean {
  const isItem = row.run_id === runId && row.item_index === item?.index && row.item_id === item.id;
  const hasResult = row.status === "ok" ? row.label_index !== null && row.error_code === null : row.error_code !== null;
  return isItem && hasResult;
}

function sameCounts(a: PartCounts, b: PartCounts): boolean {
  const codes = new Set([...Object.keys(a.failuresByCode), ...Object.keys(b.failuresByCode)]);
  const sameCodes = [...codes].every((code) => a.failuresByCode[code] === b.failuresByCode[code]);
  return a.items === b.items && a.ok === b.ok && a.failed === b.failed && sameCodes;
}

/** Parts that are left beside the files that hold their rows now are none: nothing reads them, and `compact` removes them. */
async function findStrayFiles(
  storage: Storage,
  { head, files, chunks }: { readonly head: RunHead; readonly files: readonly CurrentRows[]; readonly chunks: number },
  problems: string[],
): Promise<void> {
  for (const path of await storage.list(partsPrefix)) {
    const part = parsePartPath(path);
    const isOurs = part !== null && part.format === head.identity.format && part.chunk < chunks;
    if (!isOurs) problems.push(`${path} is no part of the pinned list`);
  }
  const last = files.at(-1);
  if (last?.path.startsWith(compactedPrefix) && last.firstChunk + last.chunks > chunks)
    problems.push(`${last.path} is of more chunks than are pinned`);
}

interface Totals {
  readonly items: number;
  readonly rows: number;
  readonly ok: number;
  readonly failed: number;
  readonly parts: number;
  readonly chunks: number;
}

function compareTotals(
  totals: Totals,
  { summary, sealed }: { readonly summary: Summary | null; readonly sealed: Sealed | null },
  problems: string[],
): void {
  if (sealed !== null && (sealed.items !== totals.items || sealed.chunks !== totals.chunks)) {
    problems.push(`the list is sealed with ${sealed.items} items, but ${totals.items} are pinned`);
  }
  if (summary === null) return;
  if (sealed === null) problems.push("there is a summary, but the list is not sealed");
  if (totals.parts !== totals.chunks)
    problems.push(`${totals.chunks - totals.parts} of ${totals.chunks} parts are missing`);
  const isSame = summary.items === totals.items && summary.ok === totals.ok && summary.failed === totals.failed;
  if (!isSame) {
    const told = `${summary.items} items, ${summary.ok} ok, ${summary.failed} failed`;
    problems.push(`the summary says ${told}, but the parts hold ${totals.rows}, ${totals.ok} and ${totals.failed}`);
  }
}
