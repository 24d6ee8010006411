/**
 * Values of one flat column of a row group, page by page. hyparquet decodes a page; this file finds the pages, so that no
 * more than one is in memory whatever the size of a row group, and checks what a page claims before anything is allocated
 * for it: tables come from strangers. Called by `parquet` only.
 */
import { isUtf8 } from "node:buffer";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { decompress } from "fzstd";
import type { ColumnMetaData, CompressionCodec, PageHeader, SchemaTree } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert, DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import type { ColumnDecoder, DecodedArray } from "hyparquet/src/types.js";
import { compressors } from "hyparquet-compressors";
import { checkRuns, isDictionaryEncoded } from "./parquet-runs.js";

/** DuckDB's pages are up to 100 MB; other writers' are about 1 MiB. */
const largestPageBytes = 2 ** 27;
/** A page of one repeated value holds a whole row group: 1,048,576 rows by default in Arrow, more by request. */
const largestPageValues = 2 ** 24;
/** Page headers hold statistics, with values that writers cut to a few kB. */
const headerBytes = 2 ** 16;
/** What is read at once. */
const windowBytes = 2 ** 18;

export interface ColumnChunk {
  readonly meta: ColumnMetaData;
  /** From the root of the schema to the column. */
  readonly schemaPath: SchemaTree[];
  /** Rows of the row group. */
  readonly rows: number;
}

/** Reads bytes of the file; fewer where it ends. */
export type ReadRange = (start: number, end: number) => Promise<Uint8Array>;

/** Text that is not UTF-8 is given as its bytes. Values are those of rows `skip` and on. Throws Error on a damaged page. */
export async function* readPages(read: ReadRange, chunk: ColumnChunk, skip: number): AsyncGenerator<DecodedArray> {
  const decoder = decoderOf(chunk);
  const window = openWindow(read, ...rangeOf(chunk.meta));
  let dictionary: DecodedArray | undefined;
  for (let row = 0; row < chunk.rows; ) {
    const head = await window.peek(headerBytes);
    if (head.length === 0) throw new Error(`column ${nameOf(chunk)} ends after ${row} of ${chunk.rows} rows`);
    const reader = { view: viewOf(head), offset: 0 };
    const header = parquetHeader(reader);
    const size = header.compressed_page_size;
    checkPage(header, chunk.rows - row);
    const values = valuesOf(header);
    // A page without values too: whoever reads takes a value of each page.
    if (values !== null && (values === 0 || row + values <= skip)) {
      window.advance(reader.offset + size);
      row += values;
      continue;
    }
    const bytes = (await window.peek(reader.offset + size)).subarray(reader.offset);
    if (bytes.length < size) throw new Error(`a page of column ${nameOf(chunk)} ends too early`);
    const data = decodePage(bytes, header, decoder, dictionary);
    window.advance(reader.offset + size);
    if (values === null) dictionary = data;
    else {
      yield row < skip ? data.slice(skip - row) : data;
      row += values;
    }
  }
}

function nameOf({ meta }: ColumnChunk): string {
  return JSON.stringify(meta.path_in_schema.join("."));
}

/** Rows of a data page, or null for a dictionary. */
function valuesOf({ data_page_header, data_page_header_v2 }: PageHeader): number | null {
  return data_page_header?.num_values ?? data_page_header_v2?.num_values ?? null;
}

function checkPage(header: PageHeader, rowsLeft: number): void {
  const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
  for (const size of [packed, unpacked]) {
    if (!(Number.isInteger(size) && size >= 0 && size <= largestPageBytes))
      throw new Error(`a page says that it has ${size} bytes; up to ${largestPageBytes} are read`);
  }
  const values = valuesOf(header) ?? header.dictionary_page_header?.num_values ?? 0;
  const most = valuesOf(header) === null ? unpacked : Math.min(rowsLeft, largestPageValues);
  if (!(values >= 0 && values <= most))
    throw new Error(`a page says that it has ${values} values, ${most} at most fit`);
  const encoding = header.data_page_header?.encoding ?? header.data_page_header_v2?.encoding;
  // A few bytes of it can stand for any number of bytes, and hyparquet would make them all.
  if (encoding === "DELTA_BYTE_ARRAY") throw new Error("its encoding DELTA_BYTE_ARRAY is not read; write it as PLAIN");
}

/** Unpacks, checks the runs, and lets hyparquet decode what is no longer packed. */
function decodePage(
  bytes: Uint8Array,
  header: PageHeader,
  decoder: ColumnDecoder,
  dictionary: DecodedArray | undefined,
): DecodedArray {
  const v2 = header.data_page_header_v2;
  if (isDictionaryEncoded(header) && dictionary === undefined)
    throw new Error("a page refers to a dictionary, but there is none");
  const levels = v2 === undefined ? 0 : v2.definition_levels_byte_length + v2.repetition_levels_byte_length;
  if (!(levels >= 0 && levels <= bytes.length)) throw new Error("a page says that its levels are larger than itself");
  const unpackedBytes = header.uncompressed_page_size - levels;
  const isPacked = decoder.codec !== "UNCOMPRESSED" && v2?.is_compressed !== false && bytes.length > levels;
  const values = isPacked ? unpack(decoder.codec, bytes.subarray(levels), unpackedBytes) : bytes.subarray(levels);
  if (values.length !== unpackedBytes) throw new Error(`a page has ${values.length} bytes, and says ${unpackedBytes}`);
  const page = levels === 0 ? values : Buffer.concat([bytes.subarray(0, levels), values]);
  const isNullable = decoder.element.repetition_type !== "REQUIRED";
  checkRuns(viewOf(page), header, isNullable);
  const plain = { ...header, compressed_page_size: page.length };
  const reader = { view: viewOf(page), offset: 0 };
  const result = readPage(reader, plain, { ...decoder, codec: "UNCOMPRESSED" }, dictionary, undefined, 0);
  const data = result.data ?? [];
  const { type } = header;
  if (type !== "DICTIONARY_PAGE" && data.length !== valuesOf(header)) {
    throw new Error(`a page holds ${data.length} values, and says ${valuesOf(header)}`);
  }
  return type === "DICTIONARY_PAGE" ? convert(data, decoder) : data;
}

/** Never more than `length` bytes, whatever the packed bytes say. Throws Error. */
function unpack(codec: CompressionCodec, packed: Uint8Array, length: number): Uint8Array {
  if (codec === "GZIP") return gunzipSync(packed, { maxOutputLength: Math.max(length, 1) });
  if (codec === "BROTLI") return brotliDecompressSync(packed, { maxOutputLength: Math.max(length, 1) });
  if (codec === "ZSTD") return decompress(packed, new Uint8Array(length));
  const unpackOther = compressors[codec];
  if (unpackOther === undefined) throw new Error(`its compression ${codec} is not read`);
  return unpackOther(packed, length);
}

const parsers = {
  ...DEFAULT_PARSERS,
  stringFromBytes: textOf,
  /** As it stands: it is kept, not looked into. */
  jsonFromBytes: textOf,
};

function textOf(bytes: Uint8Array): string | Uint8Array {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? buffer.toString("utf8") : bytes;
}

function decoderOf({ meta, schemaPath }: ColumnChunk): ColumnDecoder {
  const element = schemaPath.at(-1)?.element;
  if (element === undefined) throw new Error("a column without a schema");
  return { pathInSchema: meta.path_in_schema, type: meta.type, element, schemaPath, codec: meta.codec, parsers };
}

/** Where the pages of a column lie. Some writers leave the dictionary's offset out, or at 0. */
function rangeOf(meta: ColumnMetaData): [number, number] {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
  return [start, start + Number(meta.total_compressed_size)];
}

function viewOf(bytes: Uint8Array): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

interface Window {
  /** The next `size` bytes, or what is left of the column. */
  peek(size: number): Promise<Uint8Array>;
  advance(size: number): void;
}

/** The bytes of `start` to `end`, read as they are needed. */
function openWindow(read: ReadRange, start: number, end: number): Window {
  let at = start;
  let held: Uint8Array = new Uint8Array(0);
  let heldAt = start;
  return {
    async peek(size) {
      const until = Math.min(end, at + size);
      if (until > heldAt + held.length || at < heldAt) {
        held = await read(at, Math.min(end, at + Math.max(size, windowBytes)));
        heldAt = at;
      }
      return held.subarray(at - heldAt, Math.max(until, at) - heldAt);
    },
    advance(size) {
      at += size;
    },
  };
}
