/**
 * JSONL as a source: one JSON object a line, its keys the columns. There is no header, so the first objects stand for it:
 * where none of them has a wanted key, the name is wrong, and that is said before anything is written.
 */
import { isUtf8 } from "node:buffer";
import { isBlank, type Line, longestLineBytes, openLines, tokenAfter } from "./lines.js";
import type { Source, TableColumns } from "./source.js";
import { type Cell, itemOfRow, requireColumns, type TablePlace, type TableRow, wantedColumns } from "./table.js";
import type { Text } from "./text.js";

/** How many lines stand for the header that JSONL lacks. */
const headerLines = 100;

/** The resume token is that of the line. */
export function openJsonl(text: Text, columns: TableColumns): Source {
  const leftOut: Record<string, number> = {};
  const place: TablePlace = { ...text, word: "line" };

  async function* checkedLines(after: string | null): AsyncGenerator<Line> {
    let held: Line[] | null = after === null ? [] : null;
    for await (const line of await openLines(text, after)) {
      if (held === null) yield line;
      else if (held.push(line) === headerLines) {
        requireKeys(text.name, columns, held);
        yield* held;
        held = null;
      }
    }
    if (held === null || held.length === 0) return;
    requireKeys(text.name, columns, held);
    yield* held;
  }

  return {
    async *items(after) {
      for await (const line of checkedLines(after)) {
        if (isBlank(line.bytes)) leftOut["blank line"] = (leftOut["blank line"] ?? 0) + 1;
        else yield itemOfRow(rowOf(line, columns), columns, place);
      }
    },
    leftOut: () => leftOut,
    // As for a list: a table names its files one by one.
    roots: ["/"],
  };
}

/** Lines that are no objects say nothing about the keys; where all are such, each fails by itself. */
function requireKeys(name: string, columns: TableColumns, lines: readonly Line[]): void {
  const keys = new Set(lines.map(parseLine).flatMap((parsed) => ("problem" in parsed ? [] : [...parsed.keys()])));
  if (keys.size > 0) requireColumns(name, columns, [...keys]);
}

function rowOf(line: Line, columns: TableColumns): TableRow {
  const at = { line: line.number, token: tokenAfter(line) };
  const parsed = parseLine(line);
  if ("problem" in parsed) return { ...at, cells: parsed };
  const { uriColumn, idColumn } = columns;
  const odd = [uriColumn, idColumn].find((name) => name !== null && typeof (parsed.get(name) ?? "") === "object");
  if (odd != null) return { ...at, cells: { problem: `its ${JSON.stringify(odd)} is an object or a list` } };
  try {
    return { ...at, cells: wantedColumns(columns).map((name) => cellOf(parsed.get(name))) };
  } catch {
    // JSON.parse takes deeper nesting than JSON.stringify has stack for.
    return { ...at, cells: { problem: "it is nested too deeply" } };
  }
}

/** More than 15 digits, or an exponent. */
const mayBeInexact = /[\d.]{16}|\d[eE]/;

type Parsed = ReadonlyMap<string, unknown> | { readonly problem: string };

function parseLine({ bytes }: Line): Parsed {
  if (bytes.length > longestLineBytes) return { problem: `it is longer than ${longestLineBytes} bytes` };
  if (!isUtf8(bytes)) return { problem: "it is not UTF-8" };
  const text = bytes.toString("utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: "it is no JSON object" };
    return new Map(Object.entries(mayBeInexact.test(text) ? JSON.parse(quoteInexactNumbers(text)) : value));
  } catch {
    // The parser's own words would quote the line, and differ between versions of Node.
    return { problem: "it is not JSON" };
  }
}

/** As text where a number would lose digits, or be none: 64-bit ids are often written so. `text` is valid JSON. */
function quoteInexactNumbers(text: string): string {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    token.startsWith('"') || isExact(token) ? token : `"${token}"`,
  );
}

/** Whether a double keeps `number`; up to 15 digits it does (IEEE 754, DBL_DIG), unless it is too large or too small. */
function isExact(number: string): boolean {
  const value = Number(number);
  const digits = number.replace(/e.*/i, "").replaceAll(/[-.]/g, "").replace(/^0+/, "");
  if (digits.length > 15) return String(value) === number;
  return Number.isFinite(value) && (value !== 0 || digits === "");
}

function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}
