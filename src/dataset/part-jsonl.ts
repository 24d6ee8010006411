/**
 * JSONL parts: one line a row, for people and shells; three times the size of Parquet, and without a footer, so how the
 * part was made is not kept. Called by `part`, and by the export of the same form.
 */
import { setImmediate } from "node:timers/promises";
import { fromHalves, toHalves } from "./float16.js";
import type { EncodablePart } from "./part-content.js";
import { type Row, rowColumns } from "./row.js";
import type { Storage } from "./storage/storage.js";

/** Encodes rows as UTF-8 lines with the columns as keys, in order. Lone surrogates become U+FFFD, as in Parquet. */
export async function encodeJsonl({ rows, columns, embedding }: EncodablePart): Promise<Uint8Array> {
  const lines: string[] = [];
  for (const row of rows) {
    lines.push(encodeJsonlRow(embedding === "float16" ? withHalves(row) : row, columns));
    // A row with 2,048 floats takes 0.5 ms, and this process must answer for its locks in between.
    if (lines.length % 8 === 0) await setImmediate();
  }
  return Buffer.from(lines.join(""), "utf8");
}

/** JSON has no halves: their values stand there. */
function withHalves(row: Row): Row {
  return row.embedding === null ? row : { ...row, embedding: fromHalves(toHalves(row.embedding)) };
}

/** One row as a line, with its end; the columns are its keys, in order. */
export function encodeJsonlRow<K extends keyof Row>(row: Pick<Row, K>, columns: readonly K[]): string {
  return `{${columns.map((name) => `${JSON.stringify(name)}:${encodeValue(row[name])}`).join(",")}}\n`;
}

/**
 * Reads the rows of a JSONL file, with the given columns only, whose lines are from number `from` (of 0) up to, not
 * including, `to`. Throws on anything that `encodeJsonl` does not write.
 */
export async function readJsonlRows<K extends keyof Row>(
  storage: Storage,
  path: string,
  { columns, from, to }: { readonly columns: readonly K[]; readonly from: number; readonly to: number },
): Promise<Pick<Row, K>[]> {
  const bytes = await storage.read(path);
  if (bytes === null) throw new Error("it vanished while it was read");
  const lines = Buffer.from(bytes).toString("utf8").split("\n");
  if (lines.pop() !== "") throw new Error("its last line is not whole");
  const wantsEmbedding = columns.some((name) => name === "embedding");
  return lines.slice(from, to).map((line, i) => {
    const value: unknown = JSON.parse(wantsEmbedding ? line : withoutEmbedding(line));
    if (!isRecord(value) || (value.status !== "ok" && value.status !== "failed")) {
      throw new Error(`line ${from + i + 1} is not a row`);
    }
    return Object.fromEntries(columns.map((name) => [name, decodeValue(name, value[name])])) as Pick<Row, K>;
  });
}

const powersOfTen = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`));

/**
 * A short decimal (nine digits at most) that reads back as the same float32, where `JSON.stringify` would print the
 * double's seventeen. Scaling by an exact power of ten and dividing again gives the double nearest to that decimal,
 * which prints short; 2,048 numbers take 0.2 ms so, against 0.7 with `toPrecision`.
 */
export function shortFloat32(value: number): number {
  const digits = 5 - Math.floor(Math.log10(Math.abs(value)));
  // Powers of ten are exact doubles up to 10^22; log10 of zero and of what is not finite ends here too.
  if (!(digits >= 0 && digits <= 19)) return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
  for (let more = 0; more <= 3; more += 1) {
    const scale = powersOfTen[digits + more] ?? 1;
    const candidate = Math.round(value * scale) / scale;
    if (Math.fround(candidate) === value) return candidate;
  }
  return value;
}

function encodeValue(value: Row[keyof Row]): string {
  if (value instanceof Float32Array) return JSON.stringify(Array.from(value, shortFloat32));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "null" : JSON.stringify(value);
  return JSON.stringify(wellFormed(value));
}

function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll(/\p{Surrogate}/gu, "\uFFFD");
  if (Array.isArray(value)) return value.map(wellFormed);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [wellFormed(key), wellFormed(each)]));
}

/**
 * Cuts the numbers out unparsed. Inside a JSON string the quotes of this key would be escaped, so it cannot stand
 * there.
 */
function withoutEmbedding(line: string): string {
  const start = line.indexOf('"embedding":[');
  if (start < 0) return line;
  const end = line.indexOf("]", start);
  return `${line.slice(0, start)}"embedding":null${line.slice(end + 1)}`;
}

function decodeValue(name: keyof Row, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (name === "embedding") return decodeEmbedding(value);
  if (rowColumns[name].type === "timestamp[ms, UTC]") return new Date(String(value));
  return value;
}

/** JSON has no word for NaN and the infinities; they are written as null and read as NaN. */
function decodeEmbedding(value: unknown): Float32Array {
  if (!Array.isArray(value)) throw new Error("an embedding is not an array");
  return Float32Array.from(value, (each: number | null) => each ?? Number.NaN);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
