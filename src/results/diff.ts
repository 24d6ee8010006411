/**
 * What became of the same items in two datasets: labels that flipped, embeddings that drifted, scores that shifted, rows that
 * are in one of them alone. Items are joined by their ids, in whatever order they come. Memory: 75 bytes a row of the first
 * dataset, some parts, and an entry a pair of labels; of the second, one part. Called by `labelmill diff` and the library.
 */
import { rangeOf } from "../dataset/current-rows.js";
import { readPartRows } from "../dataset/part.js";
import { cosineOf, openEmbeddings, type PlacedEmbedding } from "./diff-embeddings.js";
import { createDiffRows, type DiffRow, diffColumns, type KeptRow } from "./diff-rows.js";
import { createDistribution, type Distribution } from "./distribution.js";
import { type OpenedResults, openResults, type ReadingOptions } from "./open.js";

/** One of the two datasets. */
export interface DiffSide {
  readonly out: string;
  readonly runId: string;
  readonly model: string;
  readonly modelSha256: string;
  readonly precision: string;
  readonly complete: boolean;
  readonly rows: number;
  /** Rows whose item is not in the other one. */
  readonly only: number;
}

/** Items whose label was one thing and is another. */
export interface LabelFlip {
  readonly from: string;
  readonly to: string;
  readonly count: number;
  /** Up to three of them. */
  readonly examples: readonly { readonly itemId: string; readonly uri: string }[];
}

export interface Diff {
  readonly a: DiffSide;
  readonly b: DiffSide;
  /** Items in both. */
  readonly items: number;
  /** Of these, by what they were in the first and are in the second. */
  readonly status: {
    readonly bothOk: number;
    readonly bothFailed: number;
    readonly okToFailed: number;
    readonly failedToOk: number;
  };
  /** Of those that are ok in both: other label. Labels are compared by name. */
  readonly flipped: number;
  /** Most frequent first. */
  readonly flips: readonly LabelFlip[];
  /** Score in the second minus score in the first, of items that are ok in both; null where there are none. */
  readonly scoreShift: Distribution | null;
  /** Of the embeddings of items that are ok in both. */
  readonly cosine: Distribution | null;
  /** Why there is no cosine. */
  readonly whyNoCosine: string | null;
}

export interface DiffSettings {
  readonly signal: AbortSignal;
  /** How the dataset there is read. */
  readonly reading: (out: string) => ReadingOptions;
  /** Told how many rows of the second dataset have been compared. */
  readonly onRows?: ((rows: number) => void) | undefined;
}

/** Compares the datasets in `outA` and `outB`. Throws RUN_NOT_A_DATASET, RUN_SCHEMA, RUN_DATASET_CORRUPT, STORAGE_*. */
export async function diffDatasets(outA: string, outB: string, settings: DiffSettings): Promise<Diff> {
  const [a, b] = [await openResults(outA, settings.reading(outA)), await openResults(outB, settings.reading(outB))];
  const rowsOfA = createDiffRows(a.files.reduce((sum, { chunks }) => sum + chunks, 0) * a.head.identity.chunkSize);
  await eachRow(a, settings.signal, async (row) => rowsOfA.add(row));
  const comparison = createComparison(rowsOfA.rows());
  const drift = openDrift(a, b, rowsOfA.rows());
  let rowsOfB = 0;
  await eachRow(b, settings.signal, async (row) => {
    rowsOfB += 1;
    settings.onRows?.(rowsOfB);
    const before = rowsOfA.take(row.item_id);
    if (before === null) return;
    comparison.add(before, row);
    if (before.label !== null && row.label !== null) await drift.add(before.itemIndex, row.item_index);
  });
  const onlyB = rowsOfB - (rowsOfA.rows() - rowsOfA.left());
  return {
    a: sideOf(a, rowsOfA.rows(), rowsOfA.left()),
    b: sideOf(b, rowsOfB, onlyB),
    ...comparison.summarize(),
    ...drift.summarize(),
  };
}

async function eachRow(
  { storage, files, head }: OpenedResults,
  signal: AbortSignal,
  action: (row: DiffRow) => Promise<void>,
): Promise<void> {
  for (const file of files) {
    signal.throwIfAborted();
    const range = rangeOf(file, head.identity.chunkSize);
    for await (const row of readPartRows(storage, file.path, diffColumns, range)) await action(row);
  }
}

function sideOf({ head, storage, summary }: OpenedResults, rows: number, only: number): DiffSide {
  const { model, modelSha256, precision } = head.identity;
  const complete = summary !== null;
  return { out: storage.location, runId: head.runId, model, modelSha256, precision, complete, rows, only };
}

const mostExamples = 3;
/** Pairs of labels that get examples: thousands of classes may make millions of pairs. */
const mostPairsWithExamples = 10_000;

function createComparison(most: number) {
  const status = { bothOk: 0, bothFailed: 0, okToFailed: 0, failedToOk: 0 };
  const shift = createDistribution(most);
  const flips = new Map<
    string,
    Omit<LabelFlip, "count"> & { count: number; examples: LabelFlip["examples"][number][] }
  >();
  let flipped = 0;
  const addFlip = (from: string, to: string, { item_id: itemId, uri }: DiffRow): void => {
    flipped += 1;
    const key = JSON.stringify([from, to]);
    const flip = flips.get(key) ?? { from, to, count: 0, examples: [] };
    flip.count += 1;
    const isKept = flips.has(key) ? flip.examples.length > 0 : flips.size < mostPairsWithExamples;
    if (isKept && flip.examples.length < mostExamples) flip.examples.push({ itemId, uri });
    flips.set(key, flip);
  };
  return {
    add({ label: from, score: before }: KeptRow, row: DiffRow): void {
      const { label: to, score } = row;
      if (from === null || to === null || score === null) {
        status[from === null ? (to === null ? "bothFailed" : "failedToOk") : "okToFailed"] += 1;
        return;
      }
      status.bothOk += 1;
      shift.add(score - before);
      if (from !== to) addFlip(from, to, row);
    },
    summarize() {
      const sorted = [...flips.values()].sort(
        (x, y) => y.count - x.count || (`${x.from}${x.to}` < `${y.from}${y.to}` ? -1 : 1),
      );
      const items = Object.values(status).reduce((sum, n) => sum + n, 0);
      return { items, status, flipped, flips: sorted, scoreShift: shift.summarize() };
    },
  };
}

/** Compares embeddings until two cannot be compared. */
function openDrift(a: OpenedResults, b: OpenedResults, most: number) {
  const [ofA, ofB] = [openEmbeddings(a), openEmbeddings(b)];
  const cosines = createDistribution(most);
  const without = [a, b].find(({ head }) => head.identity.embedding === "none");
  let reason = without === undefined ? null : `${without.storage.location} keeps no embeddings`;
  const compare = (x: PlacedEmbedding | null, y: PlacedEmbedding | null): void => {
    if (x === null || y === null) return;
    if (x.width !== y.width) reason = `their widths are ${x.width} and ${y.width}`;
    else if (!Number.isNaN(cosineOf(x, y))) cosines.add(cosineOf(x, y));
  };
  return {
    async add(indexA: number, indexB: number): Promise<void> {
      if (reason === null) compare(await ofA.at(indexA), await ofB.at(indexB));
    },
    summarize() {
      const cosine = reason === null ? cosines.summarize() : null;
      return { cosine, whyNoCosine: cosine === null ? (reason ?? "no item is ok in both") : null };
    },
  };
}
