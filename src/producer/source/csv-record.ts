/**
 * Records of CSV (RFC 4180) from lines: a quoted field may hold delimiters, doubled quotes and line ends. csv-parse, which
 * the tests compare this with, gives up at an unclosed quote and takes the rest of the file for one field; here only the
 * line that opens it fails, and the next one is read as a new record, so no row is lost behind another's mistake.
 */
import { isUtf8 } from "node:buffer";
import { isBlank, type Line, longestLineBytes, tokenAfter } from "./lines.js";

/** A quote inside an unquoted field is a plain character, as for most programs that read CSV. */
const quote = 0x22;

export interface CsvRecord {
  /** Number of its first line. */
  readonly line: number;
  /** Of the line behind it. */
  readonly token: string;
  readonly fields: readonly string[] | { readonly problem: string };
}

/** Blank lines are no records; `onBlank` is told of each. */
export async function* readRecords(
  lines: AsyncIterable<Line>,
  delimiter: "," | "\t",
  onBlank: () => void,
): AsyncGenerator<CsvRecord> {
  const iterator = lines[Symbol.asyncIterator]();
  /** Lines to be read again, behind a record that did not end; the next one last. */
  const again: Line[] = [];
  const next = async () => again.pop() ?? ((await iterator.next()).value as Line | undefined);
  try {
    for (let line = await next(); line !== undefined; line = await next()) {
      if (isBlank(line.bytes)) {
        onBlank();
        continue;
      }
      const parts = [line];
      let state = scanQuotes(line.bytes, "outside", delimiter);
      let size = line.bytes.length;
      while (state === "inside" && size <= longestLineBytes) {
        const more = await next();
        if (more === undefined) break;
        parts.push(more);
        size += more.bytes.length + 2;
        state = scanQuotes(more.bytes, state, delimiter);
      }
      if (state !== "outside" || size > longestLineBytes) {
        while (parts.length > 1) again.push(parts.pop() as Line);
        yield brokenRecord(line, problemOf(line, state));
      } else {
        yield wholeRecord(parts, delimiter);
      }
    }
  } finally {
    await iterator.return?.(undefined);
  }
}

type QuoteState = "outside" | "inside" | "broken";

/** Where the end of a line finds the record: inside a quoted field or not, or with something behind a closing quote. */
function scanQuotes(line: Buffer, before: "outside" | "inside", delimiter: string): QuoteState {
  const separator = delimiter.charCodeAt(0);
  let isInside = before === "inside";
  for (let at = line.indexOf(quote); at >= 0; at = line.indexOf(quote, at + 1)) {
    if (!isInside) {
      isInside = at === 0 || line[at - 1] === separator;
    } else if (line[at + 1] === quote) {
      at += 1;
    } else {
      isInside = false;
      if (at + 1 < line.length && line[at + 1] !== separator) return "broken";
    }
  }
  return isInside ? "inside" : "outside";
}

function problemOf({ bytes }: Line, state: QuoteState): string {
  if (bytes.length > longestLineBytes) return `it is longer than ${longestLineBytes} bytes`;
  return state === "broken"
    ? "its quoting is broken: after a closing quote comes neither a delimiter nor the end of the line"
    : `a quoted field has no end within ${longestLineBytes} bytes`;
}

function brokenRecord(line: Line, problem: string): CsvRecord {
  return { line: line.number, token: tokenAfter(line), fields: { problem } };
}

function wholeRecord(lines: readonly Line[], delimiter: string): CsvRecord {
  const [first, last] = [lines[0] as Line, lines.at(-1) as Line];
  const pieces = lines.flatMap(({ bytes, hasReturn }) => [bytes, Buffer.from(hasReturn ? "\r\n" : "\n")]);
  const bytes = lines.length === 1 ? first.bytes : Buffer.concat(pieces.slice(0, -1));
  if (!isUtf8(bytes)) return { ...brokenRecord(first, "it is not UTF-8"), token: tokenAfter(last) };
  return { line: first.number, token: tokenAfter(last), fields: splitFields(bytes.toString("utf8"), delimiter) };
}

/** `record` has whole quoted fields only. */
function splitFields(record: string, delimiter: string): string[] {
  if (!record.includes('"')) return record.split(delimiter);
  const fields: string[] = [];
  for (let at = 0; ; at += 1) {
    const isQuoted = record[at] === '"';
    const found = isQuoted ? closingQuote(record, at + 1) + 1 : record.indexOf(delimiter, at);
    const end = found < 0 ? record.length : found;
    fields.push(isQuoted ? record.slice(at + 1, end - 1).replaceAll('""', '"') : record.slice(at, end));
    if (end >= record.length) return fields;
    at = end;
  }
}

function closingQuote(record: string, from: number): number {
  let at = record.indexOf('"', from);
  while (record[at + 1] === '"') at = record.indexOf('"', at + 2);
  return at;
}
