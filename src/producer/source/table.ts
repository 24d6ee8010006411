/**
 * What all tables share: which columns are wanted, and how a row's cells become an item. CSV, JSONL and Parquet each give
 * rows in their own way; here a row is the cells of the wanted columns, as text, in one order. A row that cannot be an
 * item fails with its number; a table that lacks a column is a usage error before anything is written.
 */
import { LabelmillError } from "../../shared/errors.js";
import { longestLineBytes } from "./lines.js";
import { invalidItem, readReference } from "./reference.js";
import type { SourceItem, TableColumns } from "./source.js";

/** Text of a cell; null where the row has no value. */
export type Cell = string | null;

export interface TableRow {
  /** From 1: a line of a text, or a row. */
  readonly line: number;
  readonly token: string;
  /** One for each wanted column, in the order of `wantedColumns`, or why they cannot be read. */
  readonly cells: readonly Cell[] | { readonly problem: string };
}

/** What a table is called, where its relative paths start, and what it calls a row: `line`, `row`. */
export interface TablePlace {
  readonly name: string;
  readonly base: string;
  readonly word: string;
}

/** The columns to read: the uri's, the id's if there is one, the kept ones. */
export function wantedColumns({ uriColumn, idColumn, keepColumns }: TableColumns): readonly string[] {
  return [uriColumn, ...(idColumn === null ? [] : [idColumn]), ...keepColumns];
}

/** Throws RUN_SOURCE_COLUMNS unless each wanted column is there once, among `present`. */
export function requireColumns(source: string, columns: TableColumns, present: readonly string[]): void {
  const counts = new Map<string, number>();
  for (const name of present) counts.set(name, (counts.get(name) ?? 0) + 1);
  const wrong = wantedColumns(columns).find((name) => counts.get(name) !== 1);
  if (wrong === undefined) return;
  const problem = counts.has(wrong) ? `${quote(wrong)} ${counts.get(wrong)} times` : `no ${quote(wrong)}`;
  throw new LabelmillError("RUN_SOURCE_COLUMNS", { source, problem, columns: listNames(present) });
}

/**
 * Makes the item of a row, or the item that says why it fails, with what is known of it. A row that shows no uri is named
 * by its place, as `table.csv#line=7`: the row may hold what nobody is to see, like a signed uri in another column.
 */
export function itemOfRow(row: TableRow, columns: TableColumns, { name, base, word }: TablePlace): SourceItem {
  const { cells, ...at } = row;
  const placeName = `${name}#${word}=${at.line}`;
  const fail = (problem: string, shown = placeName) => invalidItem(at, shown, `${word} ${at.line}: ${problem}`);
  if ("problem" in cells) return fail(cells.problem);
  if (sizeOf(cells) > longestLineBytes)
    return fail(`its wanted columns are longer than ${longestLineBytes} characters`);
  if (cells.some((cell) => cell !== null && /[\0\p{Surrogate}]/u.test(cell)))
    return fail("it holds a NUL character or half of a surrogate pair");
  const { uri, id, extra } = nameCells(cells, columns);
  const known = { ...(id && { id }), ...(extra && { extra }) };
  if (uri.trim() === "") return { ...fail(`column ${quote(columns.uriColumn)} is empty`), ...known };
  if (id === "") return { ...fail(`column ${quote(columns.idColumn ?? "")} is empty`, uri), ...known };
  const read = readReference(Buffer.from(uri), base);
  return "uri" in read ? { uri: read.uri, ...known, ...at } : { ...fail(read.problem, uri), ...known };
}

/** What the cells are. An absent id is undefined where there is no column for it, and empty where there is. */
function nameCells(cells: readonly Cell[], { idColumn, keepColumns }: TableColumns) {
  const kept = cells.slice(idColumn === null ? 1 : 2);
  const entries = keepColumns.flatMap((column, i) => (kept[i] == null ? [] : [[column, kept[i]] as const]));
  return {
    uri: cells[0] ?? "",
    id: idColumn === null ? undefined : (cells[1] ?? ""),
    extra: keepColumns.length === 0 ? undefined : Object.fromEntries(entries),
  };
}

/** A name from a stranger's file, fit for a terminal. */
function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 20).map(quote).join(", ");
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown || "none";
}

function sizeOf(cells: readonly Cell[]): number {
  let size = 0;
  for (const cell of cells) size += cell?.length ?? 0;
  return size;
}
