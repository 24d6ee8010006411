import { columnNames, type Row } from "../../dataset/row.js";
import type { ExportContext } from "./exporter.js";

/** The columns that were asked for and that the dataset has, in the order of the dataset. */
export function columnsOf({ results, columns }: ExportContext): readonly (keyof Row)[] {
  return columnNames(results.head.identity.embedding).filter((name) => columns.includes(name));
}

/** All rows with these columns, until the signal aborts. */
export async function* rowsOf<K extends keyof Row>(
  { results, signal }: ExportContext,
  columns: readonly K[],
): AsyncGenerator<Pick<Row, K>> {
  for await (const row of results.rows({ columns })) {
    signal.throwIfAborted();
    yield row;
  }
}

/** Adds one to the count of `reason`. */
export function leaveOut(leftOut: Record<string, number>, reason: string): void {
  leftOut[reason] = (leftOut[reason] ?? 0) + 1;
}
