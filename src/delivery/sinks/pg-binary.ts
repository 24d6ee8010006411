/**
 * Rows in Postgres's binary form: one parameter, an array of the table's own row type, holds many rows, and no number goes
 * through text. So a float32 arrives bit for bit, and 256 embeddings of 2,048 floats take 2 MB instead of 6. The forms are
 * those of the server's receive functions (`record_recv`, `array_recv` and so on in src/backend/utils/adt), and of
 * pgvector's `vector_recv`. Called by `postgres` only.
 */
import { type ColumnType, type Row, rowColumns } from "../../dataset/row.js";

/** A column of the table as it is in the database; `name` may be one that is not ours. */
export interface PgColumn {
  readonly name: string;
  readonly typeOid: number;
  /** `vector` is pgvector's. */
  readonly typeName: string;
}

export interface PgRowType {
  readonly oid: number;
  /** Every column of the table, in its order. */
  readonly columns: readonly PgColumn[];
}

/** Names of `pg_type` for the types of our columns. The embedding's may be `vector` too. */
export const pgTypeNames: Readonly<Record<ColumnType, string>> = {
  utf8: "text",
  int32: "int4",
  int64: "int8",
  float64: "float8",
  "timestamp[ms, UTC]": "timestamptz",
  "list<utf8>": "_text",
  "list<int32>": "_int4",
  "list<float64>": "_float8",
  "fixed_size_list<float32>": "_float4",
  "map<utf8, utf8>": "jsonb",
};

/** Object ids of built-in types (src/include/catalog/pg_type.dat). */
const elementOids = { text: 25, int4: 23, float8: 701, float4: 700 } as const;
/** Timestamps count microseconds from the year 2000. */
const epochMs = Date.UTC(2000, 0, 1);
const firstTimestampMs = Date.UTC(-4712, 0, 1);
const nullLength = Buffer.from([255, 255, 255, 255]);

/** `rows` as a parameter of type `<table>[]`. Columns of the table that are not ours are null. */
export function encodeRows(rows: readonly Row[], type: PgRowType): Buffer {
  const records = rows.map((row) => sized(encodeRecord(row, type)));
  return Buffer.concat([arrayHead(type.oid, rows.length), ...records]);
}

/** Postgres's text holds no NUL and no lone surrogate; U+FFFD stands for either, as in Parquet for the latter. */
function storable(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8").replaceAll("\0", "\ufffd");
}

function encodeRecord(row: Row, { columns }: PgRowType): Buffer {
  const fields = columns.flatMap(({ name, typeOid, typeName }) => {
    const value = isOurs(name) ? encodeValue(row[name], rowColumns[name].type, typeName) : null;
    return [int32(typeOid), value === null ? nullLength : sized(value)];
  });
  return Buffer.concat([int32(columns.length), ...fields]);
}

function isOurs(name: string): name is keyof Row {
  return Object.hasOwn(rowColumns, name);
}

function encodeValue(value: Row[keyof Row], type: ColumnType, typeName: string): Buffer | null {
  if (value === null) return null;
  switch (type) {
    case "utf8":
      return text(value as string);
    case "int32":
      return int32(value as number);
    case "int64":
      return int64(BigInt(value as number));
    case "float64":
      return float64(value as number);
    case "timestamp[ms, UTC]":
      return timestamp((value as Date).getTime());
    case "list<utf8>":
      return array(elementOids.text, (value as readonly string[]).map(text));
    case "list<int32>":
      return array(elementOids.int4, (value as readonly number[]).map(int32));
    case "list<float64>":
      return array(elementOids.float8, (value as readonly number[]).map(float64));
    case "fixed_size_list<float32>":
      return typeName === "vector" ? vector(value as Float32Array) : floats(value as Float32Array);
    case "map<utf8, utf8>":
      return jsonb(value as Readonly<Record<string, string>>);
  }
}

const text = (value: string): Buffer => Buffer.from(value.replaceAll("\0", "\ufffd"), "utf8");

function jsonb(map: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(map).map(([key, value]) => [storable(key), storable(value)]);
  const version = Buffer.from([1]);
  return Buffer.concat([version, Buffer.from(JSON.stringify(Object.fromEntries(entries)), "utf8")]);
}

function int32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer.writeInt32BE(value | 0);
  return buffer;
}

function int64(value: bigint): Buffer {
  const buffer = Buffer.allocUnsafe(8);
  buffer.writeBigInt64BE(value);
  return buffer;
}

/** Times before the Julian calendar, which only a broken clock makes, are `-infinity`: the server would refuse them. */
function timestamp(ms: number): Buffer {
  return int64(ms < firstTimestampMs ? -(2n ** 63n) : BigInt(ms - epochMs) * 1000n);
}

function float64(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(8);
  buffer.writeDoubleBE(value);
  return buffer;
}

function sized(value: Buffer): Buffer {
  return Buffer.concat([int32(value.length), value]);
}

function array(elementOid: number, elements: readonly Buffer[]): Buffer {
  return Buffer.concat([arrayHead(elementOid, elements.length), ...elements.map(sized)]);
}

/** One dimension from 1, no nulls; an empty array has no dimension. */
function arrayHead(elementOid: number, length: number): Buffer {
  const head = [length === 0 ? 0 : 1, 0, elementOid];
  return Buffer.concat((length === 0 ? head : [...head, length, 1]).map(int32));
}

/** Two bytes of dimensions, two unused, then the floats. Null where one is not finite, since pgvector takes no such. */
function vector(embedding: Float32Array): Buffer | null {
  if (!embedding.every(Number.isFinite)) return null;
  const buffer = Buffer.alloc(4 + embedding.byteLength);
  buffer.writeUInt16BE(embedding.length);
  Buffer.from(bigEndian(embedding).buffer).copy(buffer, 4);
  return buffer;
}

/** A `real[]`: each float has its length before it, 4 as the four bytes 0, 0, 0, 4. */
function floats(embedding: Float32Array): Buffer {
  const swapped = bigEndian(embedding);
  const words = new Uint32Array(2 * embedding.length);
  for (let i = 0; i < embedding.length; i += 1) {
    words[2 * i] = 0x04000000;
    words[2 * i + 1] = swapped[i] as number;
  }
  return Buffer.concat([arrayHead(elementOids.float4, embedding.length), Buffer.from(words.buffer)]);
}

/** Arrays of JavaScript have the machine's order of bytes, which is little-endian wherever Node runs with our engines. */
function bigEndian(embedding: Float32Array): Uint32Array {
  const { buffer } = embedding.slice();
  Buffer.from(buffer).swap32();
  return new Uint32Array(buffer);
}
