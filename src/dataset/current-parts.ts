/**
 * What a dataset holds now: its own parts and summary, or those of its retries where they are newer. A retry lies in
 * `retry-0001/` and the next numbers, holds parts for the chunks that it changed, and counts from the moment that its own
 * summary is there: so nothing is replaced, and whoever reads sees the dataset before a retry or after it. Every reader of
 * complete datasets finds parts by this file; a run's own worker knows its own parts alone.
 */
import { type PartFormat, parsePartPath, parseRetryPath, partsPrefix, retryPath, summaryPath } from "./layout.js";
import type { Storage } from "./storage/storage.js";
import { readSummary, type Summary } from "./summary.js";

/** Numbers of the retries that lie in the dataset, complete or not, oldest first. */
export async function listRetries(storage: Storage): Promise<number[]> {
  const found = (await storage.list("")).flatMap((path) => parseRetryPath(path) ?? []);
  return found.sort((a, b) => a - b);
}

/** Of these those that are complete. */
async function listCompleteRetries(storage: Storage): Promise<number[]> {
  const retries = await listRetries(storage);
  const sizes = await Promise.all(retries.map((n) => storage.size(`${retryPath(n)}/${summaryPath}`)));
  return retries.filter((_, i) => sizes[i] !== null);
}

/** Path of each chunk's part, by the chunk's number, in the order of chunks; retries from number `before` on are passed over. */
export async function listCurrentParts(
  storage: Storage,
  format: PartFormat,
  before = Number.POSITIVE_INFINITY,
): Promise<ReadonlyMap<number, string>> {
  // The retries first: parts of one that completes meanwhile are not there for this reader.
  const retries = (await listCompleteRetries(storage)).filter((n) => n < before);
  const parts = new Map<number, string>();
  for (const prefix of [partsPrefix, ...retries.map((n) => `${retryPath(n)}/${partsPrefix}`)]) {
    for (const path of await storage.list(prefix)) {
      const part = parsePartPath(path);
      if (part?.format === format) parts.set(part.chunk, path);
    }
  }
  return parts;
}

/** The summary of the newest retry that is complete, or that of the run itself; null while that is not complete. */
export async function readCurrentSummary(storage: Storage): Promise<Summary | null> {
  const newest = (await listCompleteRetries(storage)).at(-1);
  return readSummary(storage, newest === undefined ? summaryPath : `${retryPath(newest)}/${summaryPath}`);
}
