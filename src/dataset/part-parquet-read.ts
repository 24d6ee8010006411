/**
 * Reading Parquet parts. hyparquet reads by byte ranges, so counts cost the footer and a projection costs its own
 * columns; embeddings are decoded by parquet-wasm, which does 256 rows of 2,048 floats in 20 ms against 120 to
 * 150. Called by `part` only.
 */
import type { Data, Table } from "apache-arrow";
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type EmbeddingBlock, joinBlocks } from "./embedding-block.js";
import { fromHalves } from "./float16.js";
import { type CommittedCounts, footerKey, footerSchema } from "./part-footer.js";
import { type Row, rowColumns } from "./row.js";
import type { Storage } from "./storage/storage.js";

/** Enough for the footer of a part, in bytes; hyparquet's own first guess is 512 kB. */
const footerFetchBytes = 1 << 15;

/** The counts in the footer of chunk `chunk`'s part. Throws where they are absent or disagree with the file. */
export async function readParquetCounts(
  storage: Storage,
  part: { readonly path: string; readonly size: number; readonly chunk: number },
): Promise<CommittedCounts> {
  const metadata = await readMetadata(asyncBuffer(storage, part.path, part.size));
  const text = metadata.key_value_metadata?.find((entry) => entry.key === footerKey)?.value;
  if (text === undefined) throw new Error("its footer bears no labelmill metadata");
  const { counts, chunk, making } = footerSchema.parse(JSON.parse(text));
  const { duplicates, carried } = making;
  if (chunk !== part.chunk) throw new Error(`it is the part of chunk ${chunk}`);
  if (BigInt(counts.items) !== metadata.num_rows || counts.ok + counts.failed !== counts.items) {
    throw new Error(
      `its footer counts ${counts.ok} + ${counts.failed} of ${counts.items} rows, it holds ${metadata.num_rows}`,
    );
  }
  if (duplicates > counts.ok) throw new Error(`its footer counts ${duplicates} duplicates of ${counts.ok} rows`);
  return { ...counts, duplicates, carried };
}

/** Reads the rows of a Parquet part, with the given columns only. Throws what the decoders throw. */
export async function readParquetRows<K extends keyof Row>(
  storage: Storage,
  path: string,
  columns: readonly K[],
): Promise<Pick<Row, K>[]> {
  const size = await storage.size(path);
  if (size === null) throw new Error("it vanished while it was read");
  const file = asyncBuffer(storage, path, size);
  const metadata = await readMetadata(file);
  const stored = new Set(metadata.schema.map((element) => element.name));
  const plain = columns.filter((name) => name !== "embedding" && stored.has(name));
  const raw = plain.length === 0 ? [] : await parquetReadObjects({ file, metadata, columns: plain, compressors });
  const wantsEmbedding = stored.has("embedding") && columns.some((name) => name === "embedding");
  const embeddings = wantsEmbedding ? await readEmbeddings(storage, path) : [];
  return Array.from({ length: Number(metadata.num_rows) }, (_, i) => {
    const value = (name: K) => (name === "embedding" ? (embeddings[i] ?? null) : fromParquet(name, raw[i]?.[name]));
    return Object.fromEntries(columns.map((name) => [name, value(name)])) as Pick<Row, K>;
  });
}

/** The embeddings of a Parquet part, with the rows that lack one left out. Throws what the decoders throw. */
export async function readParquetEmbeddings(storage: Storage, path: string): Promise<EmbeddingBlock> {
  const { batches } = await readTable(storage, path);
  return joinBlocks(
    batches.flatMap((batch) => {
      const [indices, embeddings] = [batch.getChild("item_index")?.data[0], batch.getChild("embedding")?.data[0]];
      // A run that keeps none has no such column.
      return indices === undefined || embeddings === undefined ? [] : [packBatch(indices.values, embeddings)];
    }),
  );
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

async function readEmbeddings(storage: Storage, path: string): Promise<(Float32Array | null)[]> {
  const table = await readTable(storage, path);
  return (table.getChild("embedding")?.data ?? []).flatMap(embeddingsOf);
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

/**
 * All columns, since this decoder ignores a choice of them; those beside the embeddings cost a tenth. Arrow and the decoder are
 * imported here, so that counting and projecting do without them.
 */
async function readTable(storage: Storage, path: string): Promise<Table> {
  const [bytes, { tableFromIPC }, { readParquet }] = await Promise.all([
    storage.read(path),
    import("apache-arrow"),
    import("parquet-wasm/node"),
  ]);
  if (bytes === null) throw new Error("it vanished while it was read");
  // intoIPCStream consumes the table, and with it the wasm memory that it held.
  return tableFromIPC(readParquet(bytes).intoIPCStream());
}

function readMetadata(file: ReturnType<typeof asyncBuffer>): Promise<FileMetaData> {
  return parquetMetadataAsync(file, { initialFetchSize: footerFetchBytes });
}

/** hyparquet's view of a file. */
function asyncBuffer(storage: Storage, path: string, byteLength: number) {
  const slice = async (start: number, end = byteLength) => (await storage.readRange(path, start, end)).buffer;
  return { byteLength, slice };
}

function fromParquet(name: keyof Row, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  return rowColumns[name].type === "int64" ? Number(value) : value;
}
