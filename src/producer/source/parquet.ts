/**
 * A Parquet file as a source: its rows in order, of which only the wanted columns are read, a page of each at a time. The
 * footer is the only part that is read whole. What is damaged ends the run with the place named; it cannot be said which
 * rows a damaged page held, so they are not made up.
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { type FileMetaData, parquetMetadataAsync, parquetSchema, type RowGroup } from "hyparquet";
import type { DecodedArray } from "hyparquet/src/types.js";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { type ColumnChunk, type ReadRange, readPages } from "./parquet-pages.js";
import type { Source, SourceItem, TableColumns } from "./source.js";
import { type Cell, itemOfRow, requireColumns, type TableRow, wantedColumns } from "./table.js";

/** Footers are kB; with 10,000 row groups of 100 columns, some 100 MB. */
const largestFooterBytes = 2 ** 28;

/** `path` is absolute. The resume token is "number of the row, rows of the file". */
export function openParquet(path: string, columns: TableColumns): Source {
  async function* rows(after: string | null): AsyncGenerator<TableRow> {
    let file: FileHandle | null = null;
    try {
      file = await open(path);
      yield* rowsOf(file, after);
    } catch (error) {
      if (error instanceof LabelmillError) throw error;
      throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
    } finally {
      await file?.close();
    }
  }

  async function* rowsOf(file: FileHandle, after: string | null): AsyncGenerator<TableRow> {
    const { size } = await file.stat();
    const read: ReadRange = (start, end) => readRange(file, start, Math.min(end, size));
    const metadata = await readMetadata(read, size);
    requireColumns(path, columns, flatColumns(metadata));
    const total = metadata.row_groups.reduce((sum, group) => sum + rowsIn(group), 0);
    const [from = 0, before = total] = after === null ? [] : after.split(",").map(Number);
    if (before !== total) {
      const reason = `${path} has ${total} rows, and had ${before}`;
      throw new LabelmillError("RUN_SOURCE_CHANGED", { reason });
    }
    for await (const row of readRows(read, metadata, { wanted: wantedColumns(columns), from }))
      yield { ...row, token: `${row.line},${total}` };
  }

  return {
    async *items(after): AsyncGenerator<SourceItem> {
      const place = { name: path, base: dirname(path), word: "row" };
      for await (const row of rows(after)) yield itemOfRow(row, columns, place);
    },
    leftOut: () => ({}),
    // As for a list: a table names its files one by one.
    roots: ["/"],
  };
}

async function* readRows(
  read: ReadRange,
  metadata: FileMetaData,
  { wanted, from }: { wanted: readonly string[]; from: number },
): AsyncGenerator<Omit<TableRow, "token">> {
  let first = 0;
  for (const [i, group] of metadata.row_groups.entries()) {
    const rows = rowsIn(group);
    if (first + rows > from) {
      const chunks = wanted.map((name) => chunkOf(metadata, group, name));
      try {
        yield* readGroup(read, chunks, { first, skip: Math.max(from - first, 0) });
      } catch (error) {
        throw new Error(`row group ${i}: ${messageOf(error)}`, { cause: error });
      }
    }
    first += rows;
  }
}

function rowsIn({ num_rows }: RowGroup): number {
  const rows = Number(num_rows);
  if (Number.isSafeInteger(rows) && rows >= 0) return rows;
  throw new Error(`a row group says that it has ${rows} rows`);
}

/** Rows of one group, behind the first `skip`. Its columns have pages of different sizes, so each goes at its own pace. */
async function* readGroup(
  read: ReadRange,
  chunks: readonly ColumnChunk[],
  { first, skip }: { first: number; skip: number },
): AsyncGenerator<Omit<TableRow, "token">> {
  const cursors = chunks.map((chunk) => ({
    pages: readPages(read, chunk, skip),
    page: [] as DecodedArray,
    at: 0,
  }));
  const rows = chunks[0]?.rows ?? 0;
  for (let row = skip; row < rows; row += 1) {
    const cells: Cell[] = [];
    let problem: string | null = null;
    for (const cursor of cursors) {
      if (cursor.at === cursor.page.length) {
        cursor.page = (await cursor.pages.next()).value ?? [];
        cursor.at = 0;
      }
      const cell = cellOf(cursor.page[cursor.at++]);
      if (typeof cell === "object" && cell !== null) problem = cell.problem;
      cells.push(typeof cell === "string" ? cell : null);
    }
    yield { line: first + row + 1, cells: problem === null ? cells : { problem } };
    // A page may hold millions of rows; nothing of them waits for the disk, and this process may hold locks.
    if (row % 4096 === 0) await setImmediate();
  }
}

function cellOf(value: unknown): Cell | { readonly problem: string } {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  return { problem: "it is not UTF-8 text, nor a number or a time" };
}

/** Columns that hold one value a row; lists, maps and structs have no cell. */
function flatColumns(metadata: FileMetaData): string[] {
  return parquetSchema(metadata)
    .children.filter(({ children, element }) => children.length === 0 && element.repetition_type !== "REPEATED")
    .map(({ element }) => element.name);
}

function chunkOf(metadata: FileMetaData, group: RowGroup, name: string): ColumnChunk {
  const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema.join("\0") === name);
  if (chunk?.meta_data === undefined) throw new Error(`column ${JSON.stringify(name)} has no data, or is encrypted`);
  if (chunk.file_path) throw new Error(`column ${JSON.stringify(name)} lies in another file`);
  const root = parquetSchema(metadata);
  const leaf = root.children.find(({ element }) => element.name === name);
  return { meta: chunk.meta_data, schemaPath: leaf === undefined ? [] : [root, leaf], rows: Number(group.num_rows) };
}

/** The length that the file claims of its footer is checked before anything is read. */
async function readMetadata(read: ReadRange, size: number): Promise<FileMetaData> {
  const end = Buffer.from(await read(Math.max(0, size - 8), size));
  if (size < 12 || end.toString("latin1", 4) !== "PAR1") throw new Error("it is not a Parquet file, or is cut off");
  const length = end.readUInt32LE(0);
  if (length > Math.min(size - 12, largestFooterBytes)) {
    throw new Error(
      `its footer says that it has ${length} bytes; the file has ${size}, and ${largestFooterBytes} are read`,
    );
  }
  const slice = async (start: number, to = size) => {
    const bytes = await read(start, to);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  };
  try {
    return await parquetMetadataAsync({ byteLength: size, slice }, { initialFetchSize: length + 8, geoparquet: false });
  } catch (error) {
    throw new Error(`its footer is damaged: ${messageOf(error)}`, { cause: error });
  }
}

async function readRange(file: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(Math.max(0, end - start));
  let read = 0;
  while (read < bytes.length) {
    const { bytesRead } = await file.read(bytes, read, bytes.length - read, start + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes.subarray(0, read);
}
