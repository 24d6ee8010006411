/**
 * Reading Parquet parts, and the files that are made of many of them. hyparquet reads by byte ranges, so counts cost the footer and a projection costs its own
 * columns; embeddings are decoded by parquet-wasm, which does 256 rows of 2,048 floats in 20 ms against 120 to
 * 150. Called by `part` and `compacted` only.
 */
import type { Data, Table } from "apache-arrow";
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type EmbeddingBlock, joinBlocks } from "./embedding-block.js";
import { fromHalves } from "./float16.js";
import { compactedPrefix } from "./layout.js";
import { compactedFooterKey, compactedFooterSchema, footerKey, footerSchema, type PartFooter } from "./part-footer.js";
import { type Row, rowColumns } from "./row.js";
import type { Storage } from "./storage/storage.js";

/** Enough for the footer of a part, in bytes; hyparquet's own first guess is 512 kB. */
const footerFetchBytes = 1 << 15;

/** What the footer of the part at `path` says. Throws where it is absent or disagrees with the file. */
export async function readParquetFooter(storage: Storage, part: ParquetFile): Promise<PartFooter> {
  const metadata = await readMetadata(asyncBuffer(storage, part));
  const footer = footerSchema.parse(JSON.parse(keyValue(metadata, footerKey)));
  requireRows(metadata, [footer]);
  return footer;
}

/** What the footer of a file that was made of parts says of each of them, in order. Throws as `readParquetFooter` does. */
export async function readCompactedFooter(storage: Storage, file: ParquetFile): Promise<readonly PartFooter[]> {
  const metadata = await readMetadata(asyncBuffer(storage, file));
  const { parts } = compactedFooterSchema.parse(JSON.parse(keyValue(metadata, compactedFooterKey)));
  requireRows(metadata, parts);
  return parts;
}

export interface ParquetFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

function keyValue(metadata: FileMetaData, key: string): string {
  const text = metadata.key_value_metadata?.find((entry) => entry.key === key)?.value;
  if (text === undefined) throw new Error("its footer bears no labelmill metadata");
  return text;
}

function requireRows(metadata: FileMetaData, footers: readonly PartFooter[]): void {
  for (const { counts, making } of footers) {
    const { items, ok, failed } = counts;
    if (ok + failed !== items) throw new Error(`its footer counts ${ok} + ${failed} of ${items} rows`);
    if (making.duplicates > ok) throw new Error(`its footer counts ${making.duplicates} duplicates of ${ok} rows`);
  }
  const items = footers.reduce((sum, { counts }) => sum + counts.items, 0);
  if (BigInt(items) !== metadata.num_rows)
    throw new Error(`its footer counts ${items} rows, it holds ${metadata.num_rows}`);
}

/** Which rows of a file, by their place in it: `from` up to, not including, `to`. */
export interface RowRange {
  readonly from: number;
  readonly to: number;
}

/** The rows of a Parquet file, with the given columns only; one row group in memory. Throws what the decoders throw. */
export async function* readParquetRows<K extends keyof Row>(
  storage: Storage,
  path: string,
  { columns, from, to }: RowRange & { readonly columns: readonly K[] },
): AsyncGenerator<Pick<Row, K>> {
  const file = await openFile(storage, path);
  const metadata = await readMetadata(file);
  const stored = new Set(metadata.schema.map((element) => element.name));
  const plain = columns.filter((name) => name !== "embedding" && stored.has(name));
  const wantsEmbedding = stored.has("embedding") && columns.some((name) => name === "embedding");
  const readEmbeddings = wantsEmbedding ? await openEmbeddings(storage, path) : () => [];
  for (const { group, start, end } of rowGroupsOf(metadata)) {
    const [rowStart, rowEnd] = [Math.max(start, from), Math.min(end, to)];
    if (rowStart >= rowEnd) continue;
    const range = { rowStart, rowEnd };
    const raw =
      plain.length === 0 ? [] : await parquetReadObjects({ file, metadata, columns: plain, compressors, ...range });
    const embeddings = readEmbeddings(group);
    for (let row = rowStart; row < rowEnd; row += 1) {
      const value = (name: K) =>
        name === "embedding" ? (embeddings[row - start] ?? null) : fromParquet(name, raw[row - rowStart]?.[name]);
      yield Object.fromEntries(columns.map((name) => [name, value(name)])) as Pick<Row, K>;
    }
  }
}

function rowGroupsOf({ row_groups }: FileMetaData): { group: number; start: number; end: number }[] {
  let start = 0;
  return row_groups.map(({ num_rows }, group) => {
    const end = start + Number(num_rows);
    const found = { group, start, end };
    start = end;
    return found;
  });
}

/**
 * The embeddings of a Parquet file, a block for each row group that has a row of the range, with the rows that lack one left
 * out. Throws what the decoders throw.
 */
export async function* readParquetEmbeddings(
  storage: Storage,
  path: string,
  range: RowRange,
): AsyncGenerator<EmbeddingBlock> {
  const readGroup = await openTable(storage, path);
  for (const group of await groupsOf(storage, path, range)) {
    const blocks = readGroup(group).batches.flatMap((batch) => {
      const [indices, embeddings] = [batch.getChild("item_index")?.data[0], batch.getChild("embedding")?.data[0]];
      // A run that keeps none has no such column.
      return indices === undefined || embeddings === undefined ? [] : [packBatch(indices.values, embeddings)];
    });
    yield joinBlocks(blocks);
  }
}

/** A part is one row group, which need not be looked up. */
async function groupsOf(
  storage: Storage,
  path: string,
  { from, to }: RowRange,
): Promise<readonly (number | undefined)[]> {
  if (!path.startsWith(compactedPrefix)) return [undefined];
  const groups = rowGroupsOf(await readMetadata(await openFile(storage, path)));
  return groups.filter(({ start, end }) => start < to && end > from).map(({ group }) => group);
}

/** Moves the embeddings that are there together, in place. */
function packBatch(indices: BigInt64Array, batch: Data): EmbeddingBlock {
  const floats = floatsOf(batch);
  const width = batch.stride;
  const itemIndices: number[] = [];
  for (let row = 0; row < batch.length; row += 1) {
    if (!batch.getValid(row)) continue;
    if (itemIndices.length < row) floats.copyWithin(itemIndices.length * width, row * width, (row + 1) * width);
    itemIndices.push(Number(indices[row]));
  }
  return { itemIndices, width, floats: floats.subarray(0, itemIndices.length * width) };
}

async function openEmbeddings(storage: Storage, path: string): Promise<(group: number) => (Float32Array | null)[]> {
  const readGroup = await openTable(storage, path);
  return (group) => (readGroup(group).getChild("embedding")?.data ?? []).flatMap(embeddingsOf);
}

/** Rows of a batch. Copied: one row must not keep the memory of a whole part. */
function embeddingsOf(batch: Data): (Float32Array | null)[] {
  const floats = floatsOf(batch);
  const width = batch.stride;
  return Array.from({ length: batch.length }, (_, i) =>
    batch.getValid(i) ? floats.slice(i * width, (i + 1) * width) : null,
  );
}

/** What the lists of a FixedSizeList hold, one after the other; zeros stand where a list is null. */
function floatsOf(batch: Data): Float32Array {
  const values: Float32Array | Uint16Array = batch.children[0]?.values;
  return values instanceof Uint16Array ? fromHalves(values) : values;
}

/** All batches of the file, and their schema. */
export async function readTable(storage: Storage, path: string): Promise<Table> {
  return (await openTable(storage, path))();
}

/**
 * Reads the file, and returns what decodes one of its row groups, or all. All columns, since this decoder ignores a choice of
 * them; those beside the embeddings cost a tenth. Arrow and the decoder are imported here, so that counting and projecting
 * do without them.
 */
async function openTable(storage: Storage, path: string): Promise<(group?: number) => Table> {
  const [bytes, { tableFromIPC }, { readParquet }] = await Promise.all([
    storage.read(path),
    import("apache-arrow"),
    import("parquet-wasm/node"),
  ]);
  if (bytes === null) throw new Error("it vanished while it was read");
  return (group) => {
    const options = group === undefined ? undefined : { rowGroups: [group] };
    // intoIPCStream consumes the table, and with it the wasm memory that it held.
    return tableFromIPC(readParquet(bytes, options).intoIPCStream());
  };
}

function readMetadata(file: ReturnType<typeof asyncBuffer>): Promise<FileMetaData> {
  return parquetMetadataAsync(file, { initialFetchSize: footerFetchBytes });
}

async function openFile(storage: Storage, path: string) {
  const size = await storage.size(path);
  if (size === null) throw new Error("it vanished while it was read");
  return asyncBuffer(storage, { path, size });
}

/** hyparquet's view of a file. */
function asyncBuffer(storage: Storage, { path, size: byteLength }: ParquetFile) {
  const slice = async (start: number, end = byteLength) => (await storage.readRange(path, start, end)).buffer;
  return { byteLength, slice };
}

function fromParquet(name: keyof Row, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  return rowColumns[name].type === "int64" ? Number(value) : value;
}
