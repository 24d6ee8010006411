/**
 * Parts: the rows of one chunk, committed whole. Encodes by the run's format and writes once; whoever comes second
 * reads what the first wrote, so that a chunk is counted the same however many workers ran it. Called by the worker
 * (commit), the finaliser and a resume (counts), and the results (rows). The codecs are imported when first needed:
 * loading Arrow and the Parquet writer takes 150 ms, which a run of JSONL or a `--help` need not pay.
 */
import { LabelmillError, messageOf } from "../shared/errors.js";
import { type EmbeddingBlock, joinBlocks } from "./embedding-block.js";
import { type PartFormat, parsePartPath, partPath } from "./layout.js";
import type { EncodablePart, PartMaking } from "./part-content.js";
import type { CommittedCounts } from "./part-footer.js";
import { corrupt } from "./record-file.js";
import { columnNames, countRows, type Row } from "./row.js";
import { type RunHead, rowsRunId } from "./run-head.js";
import type { Storage } from "./storage/storage.js";

export type { PartMaking } from "./part-content.js";

/** What a worker has when a chunk is done. */
export interface PartDraft {
  readonly head: Pick<RunHead, "runId" | "identity">;
  readonly chunk: number;
  /** All rows of the chunk, in item order. */
  readonly rows: readonly Row[];
  readonly making: PartMaking;
  /** Floats of an embedding; every row that is ok has as many (unless the run keeps none). */
  readonly embeddingWidth: number;
}

/**
 * Commits a chunk's rows. Of several commits of a chunk the first wins; the others get its counts, and `won: false`.
 * Throws `STORAGE_*`, `RUN_DATASET_CORRUPT` where the part that is there cannot be read, and RangeError where the rows
 * are not exactly the chunk's.
 */
export async function commitPart(
  storage: Storage,
  draft: PartDraft,
): Promise<{ readonly counts: CommittedCounts; readonly won: boolean }> {
  requireChunkRows(draft);
  const { head, chunk, rows, making, embeddingWidth } = draft;
  const { format, embedding } = head.identity;
  const columns = columnNames(embedding);
  const counts = countRows(rows);
  const content = { rows, columns, embedding, embeddingWidth, making, counts };
  const bytes = await encode(format, { runId: rowsRunId(head), chunk, ...content });
  const path = partPath(chunk, format);
  if ((await storage.createOnce(path, bytes)) === "created")
    return { counts: { ...counts, duplicates: making.duplicates, carried: making.carried ?? 0 }, won: true };
  const winner = await readPartCounts(storage, chunk, format);
  if (winner === null) throw corrupt(storage, path, "it vanished while it was read");
  if (winner.items !== rows.length) {
    throw corrupt(storage, path, `it holds ${winner.items} rows, and its chunk ${rows.length} items`);
  }
  return { counts: winner, won: false };
}

/**
 * The counts of a committed part, or null where the chunk has none. Reads the footer alone, or all lines of a JSONL
 * part.
 */
export async function readPartCounts(
  storage: Storage,
  chunk: number,
  format: PartFormat,
): Promise<CommittedCounts | null> {
  return readPartCountsAt(storage, partPath(chunk, format), chunk);
}

/** The same of the part at `path`, which is that of `chunk`. */
export async function readPartCountsAt(storage: Storage, path: string, chunk: number): Promise<CommittedCounts | null> {
  const size = await storage.size(path);
  if (size === null) return null;
  return readingPart(storage, path, async () => {
    if (parsePartPath(path)?.format === "jsonl") {
      const rows = await (await jsonlCodec()).readJsonlRows(storage, path, ["status", "error_code"]);
      return { ...countRows(rows), duplicates: 0, carried: 0 };
    }
    return (await parquetReader()).readParquetCounts(storage, { path, size, chunk });
  });
}

/**
 * The rows of the part at `path`, in item order, with the asked-for `columns` only (all of them by default). Embeddings
 * are read only where they are asked for, and are null in a run that keeps none. Throws `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`.
 */
export async function* readPartRows<K extends keyof Row = keyof Row>(
  storage: Storage,
  path: string,
  columns?: readonly K[],
): AsyncGenerator<Pick<Row, K>> {
  const names = columns ?? (columnNames("float32") as readonly K[]);
  const part = parsePartPath(path);
  if (part === null) throw corrupt(storage, path, "this is not the name of a part");
  yield* await readingPart(storage, path, async () => {
    if (part.format === "jsonl") return (await jsonlCodec()).readJsonlRows(storage, path, names);
    return (await parquetReader()).readParquetRows(storage, path, names);
  });
}

/**
 * The embeddings of the part at `path` that are there, in item order; none in a run that keeps none. Takes four
 * fifths of the time of `readPartRows` with that column, and makes no garbage. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`.
 */
export async function readPartEmbeddings(storage: Storage, path: string): Promise<EmbeddingBlock> {
  return readingPart(storage, path, async () => {
    if (parsePartPath(path)?.format === "parquet") {
      return (await parquetReader()).readParquetEmbeddings(storage, path);
    }
    const rows = await (await jsonlCodec()).readJsonlRows(storage, path, ["item_index", "embedding"]);
    return joinBlocks(
      rows.flatMap(({ item_index, embedding }) =>
        embedding === null ? [] : [{ itemIndices: [item_index], width: embedding.length, floats: embedding }],
      ),
    );
  });
}

const jsonlCodec = () => import("./part-jsonl.js");
const parquetReader = () => import("./part-parquet-read.js");

async function encode(format: PartFormat, part: EncodablePart): Promise<Uint8Array> {
  if (format === "jsonl") return (await jsonlCodec()).encodeJsonl(part);
  return (await import("./part-parquet.js")).encodeParquet(part);
}

async function readingPart<T>(storage: Storage, path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof LabelmillError ? error : corrupt(storage, path, messageOf(error), error);
  }
}

/** A part may be written only once, so a caller's mistake is refused before it is durable. */
function requireChunkRows({ head, chunk, rows, embeddingWidth }: PartDraft): void {
  const { chunkSize, embedding } = head.identity;
  if (rows.length < 1 || rows.length > chunkSize) {
    throw new RangeError(`Expected \`rows\` to hold 1 to ${chunkSize} rows, got \`${rows.length}\``);
  }
  const runId = rowsRunId(head);
  rows.forEach((row, i) => {
    const expected = chunk * chunkSize + i;
    if (row.item_index !== expected || row.run_id !== runId) {
      const got = `${row.run_id}/${row.item_index}`;
      throw new RangeError(`Expected row ${i} to be item ${runId}/${expected}, got \`${got}\``);
    }
    if (embedding !== "none") requireEmbedding(row, embeddingWidth);
  });
}

function requireEmbedding(row: Row, width: number): void {
  if (row.embedding === null && row.status === "failed") return;
  if (row.embedding?.length === width) return;
  const got = row.embedding === null ? "null" : `${row.embedding.length} floats`;
  throw new RangeError(`Expected \`embedding\` of item ${row.item_index} to hold ${width} floats, got \`${got}\``);
}
