/**
 * Finding rows again: by how near their embeddings are to that of another row or of an image, or by their label. What an
 * image's embedding is, the caller knows (`library/search`); nothing here runs a model.
 */
import { type CurrentRows, findRows, rowsOfChunk } from "../dataset/current-rows.js";
import { readPartRows } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import { editDistance } from "../shared/edit-distance.js";
import { LabelmillError } from "../shared/errors.js";
import { findNearestInThreads } from "./nearest-threads.js";
import type { OpenedResults } from "./open.js";

const hitColumns = ["item_index", "item_id", "uri", "label", "label_index", "score"] as const;

/** A row that was found. */
export interface Hit extends Pick<Row, (typeof hitColumns)[number]> {
  /** With the embedding that was searched for; null for a search by label. */
  readonly cosine: number | null;
}

/** The embedding to search for, and the row that it is of, if any. */
export interface Query {
  readonly embedding: Float32Array;
  /** Is not among the hits. */
  readonly itemIndex: number | null;
}

/** The `top` rows nearest to the query by cosine, nearest first. Throws RESULTS_NO_EMBEDDING. */
export async function searchNearest(results: OpenedResults, query: Query, top: number): Promise<Hit[]> {
  requireEmbeddings(results);
  const wanted = { embedding: query.embedding, top, except: query.itemIndex };
  const neighbours = await results.readingFiles((files) => findNearestInThreads({ ...results, files }, wanted));
  const indices = new Set(neighbours.map(({ itemIndex }) => itemIndex));
  const rows = await results.readingFiles((files) => readHits({ ...results, files }, indices));
  return neighbours.map(({ itemIndex, cosine }) => {
    const row = rows.get(itemIndex);
    if (row === undefined) throw notFound(results, `item_index ${itemIndex}`);
    return { ...row, cosine };
  });
}

type HitRow = Omit<Hit, "cosine">;

/** The rows with these indices, file by file: however many there are, one file is read at a time, and once. */
async function readHits(results: OpenedResults, indices: ReadonlySet<number>): Promise<ReadonlyMap<number, HitRow>> {
  const { files, storage, head, reading } = results;
  const byFile = new Map<CurrentRows, number[]>();
  for (const index of indices) {
    const file = findRows(files, Math.floor(index / head.identity.chunkSize));
    if (file !== null) byFile.set(file, [...(byFile.get(file) ?? []), index]);
  }
  const found = new Map<number, HitRow>();
  for (const [file, wanted] of byFile) {
    reading.signal?.throwIfAborted();
    const { chunkSize } = head.identity;
    const { from } = rowsOfChunk(file, file.firstChunk, chunkSize);
    const places = wanted.map((index) => from + index - file.firstChunk * chunkSize);
    const range = { from: Math.min(...places), to: Math.max(...places) + 1 };
    for await (const row of readPartRows(storage, file.path, hitColumns, range)) {
      if (indices.has(row.item_index)) found.set(row.item_index, row);
    }
  }
  return found;
}

/** The query that a row is: that at index `item`, or the first one with that id. Throws RESULTS_NOT_FOUND, RESULTS_NO_EMBEDDING. */
export async function queryOf(
  results: OpenedResults,
  item: { readonly index: number } | { readonly id: string },
): Promise<Query> {
  requireEmbeddings(results);
  const itemIndex = "index" in item ? item.index : await indexOfId(results, item.id);
  const row = await results.rowAt(itemIndex, { columns: ["embedding", "error_code"] });
  const what = `item_index ${itemIndex}`;
  if (row === null) throw notFound(results, what);
  if (row.embedding !== null) return { embedding: row.embedding, itemIndex };
  throw new LabelmillError("RESULTS_NO_EMBEDDING", { what, reason: `it failed with ${row.error_code}` });
}

/** The `top` rows whose label it is, by name or index, surest first. Throws RESULTS_NOT_FOUND with the nearest names. */
export async function searchLabel(results: OpenedResults, label: string, top: number): Promise<Hit[]> {
  const index = /^\d+$/.test(label) ? Number(label) : null;
  const names = new Set<string>();
  let best: Hit[] = [];
  for await (const row of results.rows({ columns: hitColumns })) {
    if (row.label === null) continue;
    names.add(row.label);
    if (row.label !== label && row.label_index !== index) continue;
    best.push({ ...row, cosine: null });
    if (best.length >= 2 * top) best = surest(best, top);
  }
  if (best.length > 0) return surest(best, top);
  const near = nearestNames(label, [...names]);
  throw notFound(results, `label ${label}`, near.length === 0 ? "" : `; near: ${near.join(", ")}`);
}

/** Sorting is stable, and rows come in order: equal ones stay so. */
function surest(hits: Hit[], top: number): Hit[] {
  return hits.sort((a, b) => (b.score ?? 0) - (a.score ?? 0)).slice(0, top);
}

async function indexOfId(results: OpenedResults, id: string): Promise<number> {
  for await (const row of results.rows({ columns: ["item_index", "item_id"] })) {
    if (row.item_id === id) return row.item_index;
  }
  throw notFound(results, `item_id ${id}`);
}

/** Refuses a dataset without embeddings; throws RESULTS_NO_EMBEDDING. */
export function requireEmbeddings({ head, storage }: OpenedResults): void {
  if (head.identity.embedding !== "none") return;
  const reason = "its run was made with --embedding none";
  throw new LabelmillError("RESULTS_NO_EMBEDDING", { what: storage.location, reason });
}

function notFound({ storage }: OpenedResults, what: string, hint = ""): LabelmillError {
  return new LabelmillError("RESULTS_NOT_FOUND", { out: storage.location, what, hint });
}

/** Up to three names that hold it, or that up to a third of its letters turn into it. */
function nearestNames(asked: string, names: readonly string[]): string[] {
  const wanted = asked.toLowerCase();
  const most = Math.max(1, Math.floor(wanted.length / 3));
  return names
    .map((name) => ({
      name,
      edits: name.toLowerCase().includes(wanted) ? 0 : editDistance(wanted, name.toLowerCase()),
    }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}
