/** Where each file of a dataset lies, relative to its root. `docs/results.md` shows the whole tree. */

/** How the rows of a part are encoded. */
export type PartFormat = "parquet" | "jsonl";

/** A file that holds all rows of consecutive chunks, in item order: a part, or what `results compact` makes of many. */
export interface RowFile {
  readonly path: string;
  readonly firstChunk: number;
  readonly chunks: number;
}

/** Written first: who the run is. */
export const runHeadPath = "run.json";
const itemsPrefix = "items/";
/** Says that the list of items is complete. */
export const sealedPath = "items/sealed.json";
export const partsPrefix = "parts/";
/** Files that `results compact` has made of parts. */
export const compactedPrefix = "compacted/";
/** Says that they hold all rows. */
export const compactedIndexPath = "compacted/index.json";
/** Written last: it exists = the run is complete. */
export const summaryPath = "summary.json";

/** Folders in which a run itself writes: when it is complete they have all their files, which those of retries need not. */
export const runFolders = ["", itemsPrefix, partsPrefix] as const;

/** Where retry `n`, from 1, lies in the dataset that it mends. */
export const retryPath = (n: number): string => `retry-${String(n).padStart(4, "0")}`;

/** The number of the retry whose folder `path` is, or null where it is none. */
export function parseRetryPath(path: string): number | null {
  const match = /^retry-(\d{4,})\/?$/.exec(path);
  return match ? Number(match[1]) : null;
}

/** The pinned items of segment `n`. */
export const segmentPath = (n: number): string => `${itemsPrefix}segment-${String(n).padStart(5, "0")}.jsonl.gz`;

/** The rows of chunk `chunk`. Eight digits, so that the order of names is the order of items. */
export const partPath = (chunk: number, format: PartFormat): string =>
  `${partsPrefix}part-${String(chunk).padStart(8, "0")}.${format}`;

/** The rows of these chunks, first and last in its name. */
export const compactedPath = (of: Omit<RowFile, "path">, format: PartFormat): string => {
  const [first, last] = [of.firstChunk, of.firstChunk + of.chunks - 1].map((chunk) => String(chunk).padStart(8, "0"));
  return `${compactedPrefix}rows-${first}-${last}.${format}`;
};

/** How the rows of a part or of a compacted file are encoded. */
export const formatOfPath = (path: string): PartFormat => (path.endsWith(".jsonl") ? "jsonl" : "parquet");

/** The chunk and format that a part's path names, also a retry's part, or null where it is not the path of a part. */
export function parsePartPath(path: string): { readonly chunk: number; readonly format: PartFormat } | null {
  const match = /^(?:retry-\d{4,}\/)?parts\/part-(\d{8,})\.(parquet|jsonl)$/.exec(path);
  if (!match) return null;
  return { chunk: Number(match[1]), format: match[2] === "parquet" ? "parquet" : "jsonl" };
}
