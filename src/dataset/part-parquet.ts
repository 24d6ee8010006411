/**
 * Writing Parquet parts: one row group, zstd, and a footer that says how the part was made. Arrow builds the columns,
 * parquet-wasm encodes them. Runs in the process that holds the locks: 256 rows of 2,048 floats block its event loop
 * for 45 to 55 ms, of which 7 are not the embeddings'. Called by `part`, and by `compacted` for files of many parts;
 * `part-parquet-read` is the other half.
 */
import {
  type Data,
  type DataType,
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int32,
  Int64,
  List,
  Map_,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { Compression, Table as WasmTable, WriterPropertiesBuilder, writeParquet } from "parquet-wasm/node";
import { toHalves } from "./float16.js";
import type { EncodablePart } from "./part-content.js";
import { type CompactedFooter, compactedFooterKey, footerKey, type PartFooter } from "./part-footer.js";
import { type ColumnType, type Row, rowColumns } from "./row.js";

/** Encodes rows as a whole Parquet file. Lone surrogates become U+FFFD, since Parquet's strings are UTF-8. */
export function encodeParquet(part: EncodablePart): Uint8Array {
  const columns = part.columns.map((name) => buildColumn(name, part));
  const fields = part.columns.map((name, i) => new Field(name, dataOf(columns, i).type, rowColumns[name].nullable));
  const schema = new Schema(fields);
  const data = makeData({ type: new Struct(fields), length: part.rows.length, nullCount: 0, children: columns });
  return writeTable(new Table(schema, [new RecordBatch(schema, data)]), part);
}

/** Rows of a group of a compacted file, which is decoded at a time. */
const compactedGroupRows = 1_024;

/** Encodes the rows of parts, which are of one schema, as one file. */
export function encodeTables(tables: readonly Table[], footer: CompactedFooter): Uint8Array {
  // Without the first part's own metadata.
  const schema = new Schema(tables[0]?.schema.fields ?? []);
  const batches = tables.flatMap((table) => table.batches.map(({ data }) => new RecordBatch(schema, data)));
  const properties = propertiesWith(compactedFooterKey, footer).setMaxRowGroupSize(compactedGroupRows);
  return writeParquet(WasmTable.fromIPCStream(tableToIPC(new Table(schema, batches), "stream")), properties.build());
}

/** `writeParquet` takes over, and frees, both of its wasm arguments: memory stays level over any number of parts. */
function writeTable(table: Table, { runId, chunk, counts, making }: EncodablePart): Uint8Array {
  const footer: PartFooter = { schemaVersion: 1, runId, chunk, counts, making };
  const properties = propertiesWith(footerKey, footer);
  return writeParquet(WasmTable.fromIPCStream(tableToIPC(table, "stream")), properties.build());
}

function propertiesWith(key: string, footer: PartFooter | CompactedFooter): WriterPropertiesBuilder {
  return (
    new WriterPropertiesBuilder()
      .setCompression(Compression.ZSTD)
      // Over 256 rows zstd alone makes 68 bytes of a column that holds one sha256 throughout; a dictionary, 65.
      .setDictionaryEnabled(false)
      .setKeyValueMetadata(new Map([[key, JSON.stringify(footer)]]))
  );
}

function buildColumn(name: keyof Row, part: EncodablePart): Data {
  const { rows } = part;
  const { type } = rowColumns[name];
  if (type === "fixed_size_list<float32>") return buildEmbeddings(part);
  return dataOf(
    vectorFromArray(
      rows.map((row) => toArrow(type, row[name])),
      arrowTypes[type](),
    ).data,
    0,
  );
}

/** Builds the floats directly: through Arrow's builders this column alone would take a second. */
function buildEmbeddings({ rows, embeddingWidth: width, embedding: form }: EncodablePart): Data {
  const floats = new Float32Array(rows.length * width);
  const validity = new Uint8Array(Math.ceil(rows.length / 8));
  rows.forEach(({ embedding }, i) => {
    if (embedding === null) return;
    floats.set(embedding, i * width);
    validity[i >> 3] = (validity[i >> 3] ?? 0) | (1 << (i & 7));
  });
  const nullCount = rows.filter((row) => row.embedding === null).length;
  const child = form === "float16" ? halvesOf(floats) : floatsOf(floats);
  const type = new FixedSizeList(width, new Field("item", child.type, false));
  return makeData({ type, length: rows.length, nullCount, nullBitmap: validity, child });
}

const floatsOf = (data: Float32Array): Data<Float32 | Float16> =>
  makeData({ type: new Float32(), length: data.length, nullCount: 0, data });

const halvesOf = (floats: Float32Array): Data<Float32 | Float16> =>
  makeData({ type: new Float16(), length: floats.length, nullCount: 0, data: toHalves(floats) });

const arrowTypes = {
  utf8: () => new Utf8(),
  int32: () => new Int32(),
  int64: () => new Int64(),
  float64: () => new Float64(),
  "timestamp[ms, UTC]": () => new TimestampMillisecond("UTC"),
  "list<utf8>": () => new List(new Field("item", new Utf8(), false)),
  "list<int32>": () => new List(new Field("item", new Int32(), false)),
  "list<float64>": () => new List(new Field("item", new Float64(), false)),
  "map<utf8, utf8>": () => {
    const fields = [new Field("key", new Utf8(), false), new Field("value", new Utf8(), false)];
    return new Map_(new Field("entries", new Struct<{ key: Utf8; value: Utf8 }>(fields), false));
  },
} satisfies Record<Exclude<ColumnType, "fixed_size_list<float32>">, () => DataType>;

function toArrow(type: ColumnType, value: Row[keyof Row]): unknown {
  if (value === null) return null;
  if (type === "int64") return BigInt(value as number);
  if (type === "map<utf8, utf8>") return new Map(Object.entries(value as Record<string, string>));
  // A time that no calendar holds is unknown.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value;
  return value;
}

function dataOf(columns: readonly Data[], i: number): Data {
  const data = columns[i];
  if (data === undefined) throw new Error(`column ${i} was not built`);
  return data;
}
