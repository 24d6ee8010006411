/**
 * The row: one item's result, and the columns of every dataset. Field names are the column names of Parquet and the
 * keys of JSONL, hence the snake case. Nothing here depends on which worker made a row, or when.
 */
import type { EmbeddingForm } from "../shared/embedding-form.js";

/** See `docs/results.md` for the meaning of each column. Unknown is null, never zero. */
export interface Row {
  readonly run_id: string;
  readonly item_index: number;
  readonly item_id: string;
  readonly uri: string;
  readonly status: "ok" | "failed";
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly label: string | null;
  readonly label_index: number | null;
  readonly score: number | null;
  readonly top_labels: readonly string[] | null;
  readonly top_indices: readonly number[] | null;
  readonly top_scores: readonly number[] | null;
  /** Null also where the run keeps no embeddings; of a run that keeps float16, what those are exactly. */
  readonly embedding: Float32Array | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly format: string | null;
  readonly bytes: number | null;
  readonly sha256: string | null;
  readonly etag: string | null;
  readonly modified_at: Date | null;
  readonly source_line: number | null;
  readonly extra: Readonly<Record<string, string>> | null;
  readonly model: string;
  readonly model_sha256: string;
  readonly preprocess_sha256: string;
  readonly precision: string;
}

/** A column's type, in the words of Arrow. The width of `embedding` is the model's; its floats are halves where a run says so. */
export type ColumnType =
  | "utf8"
  | "int32"
  | "int64"
  | "float64"
  | "timestamp[ms, UTC]"
  | "list<utf8>"
  | "list<int32>"
  | "list<float64>"
  | "fixed_size_list<float32>"
  | "map<utf8, utf8>";

export interface ColumnSpec {
  readonly type: ColumnType;
  readonly nullable: boolean;
}

const known = (type: ColumnType) => ({ type, nullable: false }) as const satisfies ColumnSpec;
const nullable = (type: ColumnType) => ({ type, nullable: true }) as const satisfies ColumnSpec;

/** Every column, in the order in which parts hold them. */
export const rowColumns: Readonly<Record<keyof Row, ColumnSpec>> = {
  run_id: known("utf8"),
  item_index: known("int64"),
  item_id: known("utf8"),
  uri: known("utf8"),
  status: known("utf8"),
  error_code: nullable("utf8"),
  error_message: nullable("utf8"),
  label: nullable("utf8"),
  label_index: nullable("int32"),
  score: nullable("float64"),
  top_labels: nullable("list<utf8>"),
  top_indices: nullable("list<int32>"),
  top_scores: nullable("list<float64>"),
  embedding: nullable("fixed_size_list<float32>"),
  width: nullable("int32"),
  height: nullable("int32"),
  format: nullable("utf8"),
  bytes: nullable("int64"),
  sha256: nullable("utf8"),
  etag: nullable("utf8"),
  modified_at: nullable("timestamp[ms, UTC]"),
  source_line: nullable("int64"),
  extra: nullable("map<utf8, utf8>"),
  model: known("utf8"),
  model_sha256: known("utf8"),
  preprocess_sha256: known("utf8"),
  precision: known("utf8"),
};

/** The names of `rowColumns`, in order; without `embedding` for a run that keeps none. */
export function columnNames(embedding: EmbeddingForm): readonly (keyof Row)[] {
  const names = Object.keys(rowColumns) as (keyof Row)[];
  return embedding === "none" ? names.filter((name) => name !== "embedding") : names;
}

/** What a part holds, in numbers; equal to what its rows say. */
export interface PartCounts {
  readonly items: number;
  readonly ok: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
}

/** Counts rows by status and code. */
export function countRows(rows: readonly Pick<Row, "status" | "error_code">[]): PartCounts {
  const failuresByCode: Record<string, number> = {};
  let failed = 0;
  for (const row of rows) {
    if (row.status === "ok") continue;
    failed += 1;
    const code = row.error_code ?? "UNKNOWN";
    failuresByCode[code] = (failuresByCode[code] ?? 0) + 1;
  }
  return { items: rows.length, ok: rows.length - failed, failed, failuresByCode };
}
