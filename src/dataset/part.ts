/**
 * Parts: the rows of one chunk, committed whole. Encodes by the run's format and writes once; whoever comes second
 * reads what the first wrote, so that a chunk is counted the same however many workers ran it. Called by the worker
 * (commit), the finaliser and a resume (counts), and the results (rows). The codecs are imported when first needed:
 * loading Arrow and the Parquet writer takes 150 ms, which a run of JSONL or a `--help` need not pay.
 */
import { LabelmillError, messageOf } from "../shared/errors.js";
import { readCompactedIndex } from "./compacted-index.js";
import { type EmbeddingBlock, joinBlocks } from "./embedding-block.js";
import { compactedPrefix, formatOfPath, type PartFormat, partPath, type RowFile } from "./layout.js";
import type { EncodablePart, PartMaking } from "./part-content.js";
import type { CommittedCounts, PartFooter } from "./part-footer.js";
import type { RowRange } from "./part-parquet-read.js";
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
 * The counts of a committed chunk, wherever its rows lie; null where it has none. Reads a footer alone, or all lines of a
 * JSONL file.
 */
export async function readPartCounts(
  storage: Storage,
  chunk: number,
  format: PartFormat,
): Promise<CommittedCounts | null> {
  const path = partPath(chunk, format);
  const own = await readFileCounts(storage, { path, firstChunk: chunk, chunks: 1 });
  if (own !== null) return own.get(chunk) ?? null;
  const compacted = await readCompactedIndex(storage, format);
  const file = compacted?.files.find(({ firstChunk, chunks }) => chunk >= firstChunk && chunk < firstChunk + chunks);
  if (file === undefined) return null;
  return (await readFileCounts(storage, file, compacted?.chunkSize))?.get(chunk) ?? null;
}

/**
 * By chunk, the counts of the rows in `file`, a part or what was made of parts; null where there is no such file. Throws
 * `RUN_DATASET_CORRUPT`, also where the file says that it holds other chunks, and `STORAGE_*`. Of what is not a part the
 * run's `chunkSize` must be given.
 */
export async function readFileCounts(
  storage: Storage,
  { path, firstChunk, chunks }: RowFile,
  chunkSize = Number.MAX_SAFE_INTEGER,
): Promise<ReadonlyMap<number, CommittedCounts> | null> {
  const size = await storage.size(path);
  if (size === null) return null;
  return readingPart(storage, path, async () => {
    const expected = Array.from({ length: chunks }, (_, i) => firstChunk + i);
    if (formatOfPath(path) === "jsonl") {
      const whole = { columns: ["status", "error_code"] as const, ...everyRow };
      const rows = await (await jsonlCodec()).readJsonlRows(storage, path, whole);
      return new Map(expected.map((chunk, i) => [chunk, countLines(rows.slice(i * chunkSize, (i + 1) * chunkSize))]));
    }
    const footers = await readFooters(storage, { path, size });
    const found = footers.map(({ chunk }) => chunk);
    if (found.join() !== expected.join()) throw new Error(`it is of chunk ${found.join()}, its name says otherwise`);
    return new Map(footers.map(({ chunk, counts, making }) => [chunk, committedOf(counts, making)]));
  });
}

/** As a footer says it. */
function committedOf(counts: PartFooter["counts"], { duplicates, carried = 0 }: PartFooter["making"]): CommittedCounts {
  return { ...counts, duplicates, carried };
}

/** JSONL has no footer: what duplicates and carried rows there were is not known. */
const countLines = (rows: readonly Pick<Row, "status" | "error_code">[]): CommittedCounts => ({
  ...countRows(rows),
  duplicates: 0,
  carried: 0,
});

async function readFooters(
  storage: Storage,
  file: { readonly path: string; readonly size: number },
): Promise<readonly PartFooter[]> {
  const { readParquetFooter, readCompactedFooter } = await parquetReader();
  if (file.path.startsWith(compactedPrefix)) return readCompactedFooter(storage, file);
  return [await readParquetFooter(storage, file)];
}

const everyRow = { from: 0, to: Number.POSITIVE_INFINITY };

/**
 * The rows of the part or compacted file at `path`, in item order, with the asked-for `columns` only (all of them by
 * default), and of those whose places in the file are in `range` (all). Embeddings are read only where they are asked for, and are null in a run that keeps none. Throws `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`.
 */
export async function* readPartRows<K extends keyof Row = keyof Row>(
  storage: Storage,
  path: string,
  columns: readonly K[] = columnNames("float32") as readonly K[],
  range: RowRange = everyRow,
): AsyncGenerator<Pick<Row, K>> {
  const wanted = { columns, ...range };
  try {
    if (formatOfPath(path) === "jsonl") yield* await (await jsonlCodec()).readJsonlRows(storage, path, wanted);
    else yield* (await parquetReader()).readParquetRows(storage, path, wanted);
  } catch (error) {
    throw damaged(storage, path, error);
  }
}

/**
 * The embeddings of the part or compacted file at `path` that are there, in item order, in blocks; none in a run that keeps
 * none. Blocks without a row in `range` may be left out. Takes four fifths of the time of `readPartRows` with that column, and makes no garbage. Throws
 * `RUN_DATASET_CORRUPT`, `STORAGE_*`.
 */
export async function* readPartEmbeddings(
  storage: Storage,
  path: string,
  range: RowRange = everyRow,
): AsyncGenerator<EmbeddingBlock> {
  try {
    if (formatOfPath(path) === "parquet") {
      yield* (await parquetReader()).readParquetEmbeddings(storage, path, range);
      return;
    }
    const wanted = { columns: ["item_index", "embedding"] as const, ...everyRow };
    const rows = await (await jsonlCodec()).readJsonlRows(storage, path, wanted);
    yield joinBlocks(
      rows.flatMap(({ item_index, embedding }) =>
        embedding === null ? [] : [{ itemIndices: [item_index], width: embedding.length, floats: embedding }],
      ),
    );
  } catch (error) {
    throw damaged(storage, path, error);
  }
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
    throw damaged(storage, path, error);
  }
}

function damaged(storage: Storage, path: string, error: unknown): unknown {
  return error instanceof LabelmillError ? error : corrupt(storage, path, messageOf(error), error);
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
