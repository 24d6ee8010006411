/**
 * Records of CSV (RFC 4180) from lines: a quoted field may hold delimiters, doubled quotes and line ends. csv-parse, which
 * the tests compare this with, gives up at an unclosed quote and takes the rest of the file for one field; here only the
 * line that opens it fails, and the next one is read as a new record, so no row is lost behind another's mistake.
 */
import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { isBlank, type Line, longestLineBytes, tokenAfter } from "./lines.js";

/** A quote inside an unquoted field is a plain character, as for most programs that read CSV. */
const quote = 0x22;

export interface CsvRecord {
  /** Number of its first line. */
  readonly line: number;
  /** Of its last line. */
  readonly token: string;
  readonly fields: readonly string[] | { readonly problem: string };
}

/** How many lines are read before whatever else waits in this process, which may hold locks, gets its turn. */
const linesInARow = 4096;

/** Blank lines are no records; `onBlank` is told of each. */
export async function* readRecords(
  lines: AsyncIterable<Line>,
  delimiter: "," | "\t",
  onBlank: () => void,
): AsyncGenerator<CsvRecord> {
  const iterator = lines[Symbol.asyncIterator]();
  const ahead = openAhead(async () => (await iterator.next()).value, delimiter);
  let read = 0;
  try {
    for (let line = await ahead.take(); line !== undefined; line = await ahead.take()) {
      if (++read % linesInARow === 0) await setImmediate();
      if (isBlank(line.bytes)) {
        onBlank();
        continue;
      }
      const state = scanQuotes(line.bytes, "outside", delimiter);
      const end = state === "inside" ? await ahead.findEnd(longestLineBytes - line.bytes.length) : { state, lines: 0 };
      if (end.state !== "outside" || line.bytes.length > longestLineBytes) {
        yield brokenRecord(line, problemOf(line, end.state));
      } else {
        const more: Line[] = [];
        while (more.length < end.lines) more.push((await ahead.take()) as Line);
        yield wholeRecord([line, ...more], delimiter);
      }
    }
  } finally {
    await iterator.return?.(undefined);
  }
}

/**
 * Lines that were looked at for the end of a quoted field, and are still to be read. Those at its start that are known to
 * leave an open field open are not scanned again for the next field that is open there: each line is scanned once for the
 * end of a field, so that a file of unclosed quotes takes no more time than any other.
 */
function openAhead(next: () => Promise<Line | undefined>, delimiter: string) {
  let lines: Line[] = [];
  /** The next one to be read; what is before it is dropped now and then. */
  let at = 0;
  /** Up to here, lines leave an open field open; they have so many bytes. */
  let openEnd = 0;
  let openBytes = 0;
  /** What the line at `openEnd` does to an open field, once it is known. */
  let endState: QuoteState | null = null;

  const sizeOf = (line: Line) => line.bytes.length + 2;
  return {
    async take(): Promise<Line | undefined> {
      const line = lines[at];
      if (line === undefined) return next();
      if (at < openEnd) openBytes -= sizeOf(line);
      else endState = null;
      at += 1;
      openEnd = Math.max(openEnd, at);
      if (at >= linesInARow || at === lines.length) {
        lines = lines.slice(at);
        openEnd -= at;
        at = 0;
      }
      return line;
    },
    /** In which of the lines that have `mostBytes` together an open field ends; "inside" where it does not. */
    async findEnd(mostBytes: number): Promise<{ readonly state: QuoteState; readonly lines: number }> {
      while (true) {
        if (openEnd === lines.length) {
          const line = openBytes > mostBytes ? undefined : await next();
          if (line === undefined) return { state: "inside", lines: 0 };
          lines.push(line);
        }
        const line = lines[openEnd] as Line;
        if (openBytes + sizeOf(line) > mostBytes) return { state: "inside", lines: 0 };
        endState ??= scanQuotes(line.bytes, "inside", delimiter);
        if (endState !== "inside") return { state: endState, lines: openEnd + 1 - at };
        openEnd += 1;
        openBytes += sizeOf(line);
        endState = null;
      }
    },
  };
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
