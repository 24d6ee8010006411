/** Datasets to deliver, and what a sink holds of them, in a form that can be compared. */
import pg from "pg";
import { commitPart } from "../../src/dataset/part.js";
import { type Row, rowColumns } from "../../src/dataset/row.js";
import { createRunHead, readRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { writeSummary } from "../../src/dataset/summary.js";
import { openResults } from "../../src/results/open.js";
import type { Redis } from "../../src/shared/redis.js";
import { failedRow, okRow, sampleDraft, sampleIdentity, sampleSummary } from "../dataset/samples.js";

const odd = "id \0 \"'\\\n日本 \u{1f600}";

const rowsOfPart = 16;

/** Writes `parts` parts of 16 rows whose embeddings have `width` random floats of many sizes; some rows failed. */
export async function writeParts(directory: string, parts: number, width: number, first = 0): Promise<string> {
  return writeItems(directory, (first + parts) * rowsOfPart, width, first);
}

/** The same up to this number of items, from the part `first` on; the last part may be shorter. */
export async function writeItems(directory: string, items: number, width: number, first = 0): Promise<string> {
  const storage = openStorage(directory);
  const { head } = await createRunHead(storage, { ...sampleIdentity, chunkSize: rowsOfPart });
  for (let chunk = first; chunk * rowsOfPart < items; chunk += 1) {
    const length = Math.min(rowsOfPart, items - chunk * rowsOfPart);
    const rows = Array.from({ length }, (_, i) => rowOf(head.runId, chunk * rowsOfPart + i, width));
    await commitPart(storage, { ...sampleDraft(rows), head, chunk, embeddingWidth: width });
  }
  return head.runId;
}

/** Writes a complete retry of these chunks, all of whose rows are other ones; those that had failed have not, and others have. */
export async function writeRetry(directory: string, chunks: readonly number[], width: number): Promise<void> {
  const head = await readRunHead(openStorage(directory));
  const retry = openStorage(`${directory}/retry-0001`);
  await retry.prepare();
  for (const chunk of chunks) {
    const rows = Array.from({ length: rowsOfPart }, (_, i) => rowOf(head.runId, chunk * rowsOfPart + i, width, 6));
    await commitPart(retry, { ...sampleDraft(rows), head, chunk, embeddingWidth: width });
  }
  await writeSummary(retry, sampleSummary);
}

function rowOf(runId: string, index: number, width: number, failed = 5): Row {
  if (index % 13 === failed) return { ...failedRow(index), run_id: runId };
  const floats = Float32Array.from({ length: width }, (_, i) => (Math.random() - 0.5) * 10 ** ((i % 12) - 8));
  return { ...okRow(index), run_id: runId, item_id: `${odd}${index}`, embedding: floats };
}

/** One line a row: what must be equal everywhere. */
export type RowLines = ReadonlyMap<number, string>;

/** Every column but those that are constant in a run. */
interface Comparable extends Plain {
  readonly modifiedMs: number | null;
  readonly extra: unknown;
  readonly embedding: string | null;
}

type Plain = Pick<Row, (typeof plainColumns)[number]>;

const plainColumns = [
  ...(["item_id", "uri", "status", "error_code", "error_message", "label", "label_index", "score"] as const),
  ...(["top_labels", "top_indices", "top_scores", "width", "height", "format", "sha256", "etag"] as const),
  ...(["bytes", "source_line"] as const),
] as const;

/** These columns of a row in their order, lists as arrays. */
function plain(row: Readonly<Record<string, unknown>> | Row): Plain {
  const read = (value: unknown) => {
    if (typeof value === "bigint") return Number(value);
    return typeof value === "object" && value !== null ? [...(value as Iterable<unknown>)] : value;
  };
  return Object.fromEntries(
    plainColumns.map((name) => [name, read(row[name as keyof typeof row])]),
  ) as unknown as Plain;
}

const hex = (floats: Iterable<number> | null | undefined) =>
  floats === null || floats === undefined ? null : Buffer.from(Float32Array.from(floats).buffer).toString("hex");

/** NUL stands as Postgres has it, so that one comparison does for all. */
const line = (row: Comparable) => JSON.stringify(row).replaceAll("\\u0000", "\ufffd");

export async function linesOfDataset(directory: string): Promise<RowLines> {
  const lines = new Map<number, string>();
  for await (const row of (await openResults(directory)).rows()) {
    const { modified_at, extra, embedding } = row;
    const modifiedMs = modified_at?.getTime() ?? null;
    lines.set(row.item_index, line({ ...plain(row), modifiedMs, extra: sorted(extra), embedding: hex(embedding) }));
  }
  return lines;
}

export async function linesOfPostgres(url: string, runId: string): Promise<RowLines> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // As text, since pg turns a timestamp into a local one; a float goes through text exactly since Postgres 12.
  const { rows } = await client.query(
    `SELECT *, item_index::float8, bytes::float8, source_line::float8,
       extract(epoch FROM modified_at)::float8 * 1000 AS ms, embedding::real[] AS embedding
     FROM labelmill.rows WHERE run_id = $1`,
    [runId],
  );
  await client.end();
  return unique(
    rows.map((row) => {
      const { item_index, ms, extra, embedding } = row;
      const modifiedMs = ms === null ? null : Math.round(ms);
      return [item_index, line({ ...plain(row), modifiedMs, extra: sorted(extra), embedding: hex(embedding) })];
    }),
  );
}

export async function linesOfRedis(redis: Redis, runId: string, prefix = "labelmill"): Promise<RowLines> {
  const keys = await redis.keys(`${prefix}:${runId}:item:*`);
  const lines = keys.map(async (key): Promise<[number, string]> => {
    const [fields, embedding] = await Promise.all([redis.hgetall(key), redis.hgetBuffer(key, "embedding")]);
    const floats = embedding === null ? null : new Float32Array(Uint8Array.from(embedding).buffer);
    const row = Object.fromEntries(plainColumns.map((name) => [name, ofField(name, fields[name])]));
    const modifiedMs = fields.modified_at === undefined ? null : Date.parse(fields.modified_at);
    const rest = { modifiedMs, extra: sorted(parsed(fields.extra)), embedding: hex(floats) };
    return [Number(fields.item_index ?? -1), line({ ...plain(row), ...rest })];
  });
  return unique(await Promise.all(lines));
}

/** A field of a hash as the value of its column. */
function ofField(name: keyof Row, text: string | undefined): unknown {
  if (text === undefined) return null;
  return rowColumns[name].type === "utf8" ? text : JSON.parse(text);
}

export async function linesOfLance(directory: string): Promise<RowLines> {
  const database = await (await import("@lancedb/lancedb")).connect(directory);
  const [name = ""] = await database.tableNames();
  const rows = await (await database.openTable(name)).query().toArray();
  return unique(
    rows.map((row) => {
      const { modified_at, extra, embedding } = row;
      const modifiedMs = modified_at === null ? null : Number(modified_at);
      const text = line({ ...plain(row), modifiedMs, extra: sorted(parsed(extra)), embedding: hex(embedding) });
      return [Number(row.item_index), text];
    }),
  );
}

function parsed(text: string | null | undefined) {
  return text === null || text === undefined ? null : JSON.parse(text);
}

function sorted(extra: Readonly<Record<string, string>> | null): unknown {
  return extra === null ? null : Object.entries(extra).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Throws where a row is there twice. */
function unique(lines: readonly (readonly [number, string])[]): RowLines {
  const map = new Map(lines);
  if (map.size !== lines.length) throw new Error(`${lines.length - map.size} rows are there twice`);
  return map;
}
