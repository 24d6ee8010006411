/**
 * Lines of a text of any size, with their numbers and offsets, so that a later pass can begin at any of them. What a line
 * means is its caller's: a list, a table. Memory is bounded by the longest line that is taken, whatever the text holds.
 */
import { isUtf8 } from "node:buffer";

/** Longer than any path (PATH_MAX is 4,096 on Linux) and than any uri that servers accept. */
export const longestLineBytes = 65_536;
const newline = 0x0a;
const carriageReturn = 0x0d;
/** Of UTF-8, which some editors write at the start of a file. */
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

export interface Line {
  /** Without its end, `\n` or `\r\n`. One byte more than `longestLineBytes` where it is too long; the rest is not kept. */
  readonly bytes: Buffer;
  /** Whether its end was `\r\n`: inside a quoted field that belongs to the value. */
  readonly hasReturn: boolean;
  /** From 1. */
  readonly number: number;
  /** Offset of the next line in the text, in bytes. */
  readonly end: number;
}

/** Where a line begins. */
export interface LinePosition {
  readonly offset: number;
  readonly number: number;
}

export const firstLine: LinePosition = { offset: 0, number: 1 };

/** Of the line behind `line`, to be kept as a resume token. */
export function tokenAfter({ end, number }: Pick<Line, "end" | "number">): string {
  return `${end},${number + 1}`;
}

/** The position that a token of `tokenAfter` stands for; the text's start for null. */
export function positionOf(token: string | null): LinePosition {
  const [offset = 0, number = 1] = token === null ? [] : token.split(",").map(Number);
  return { offset, number };
}

/** Splits a text, of which `blocks` are the bytes from `start` on, into lines; the last one also where it has no end. */
export async function* readLines(blocks: AsyncIterable<Buffer>, start: LinePosition): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let dropped = 0;
  let end = start.offset;
  let number = start.number;
  const lineOf = (bytes: Buffer, ending: number): Line => {
    end += bytes.length + dropped + ending;
    dropped = 0;
    const hasReturn = bytes.length <= longestLineBytes && bytes.at(-1) === carriageReturn;
    const kept = bytes.subarray(0, hasReturn ? -1 : longestLineBytes + 1);
    return { bytes: number === 1 ? withoutMark(kept) : kept, hasReturn, number: number++, end };
  };
  for await (const block of blocks) {
    rest = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let from = 0;
    for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, from)) {
      yield lineOf(rest.subarray(from, at), 1);
      from = at + 1;
    }
    const kept = rest.subarray(from, from + longestLineBytes + 1);
    dropped += rest.length - from - kept.length;
    rest = kept;
  }
  if (rest.length > 0) yield lineOf(rest, 0);
}

/** Whether nothing but white space is on a line. */
export function isBlank(bytes: Buffer): boolean {
  // Most lines show in their first byte that they are not: a printable character of ASCII.
  const first = bytes[0] ?? 0;
  if (first > 0x20 && first < 0x7f) return false;
  return bytes.length === 0 || (isUtf8(bytes) && bytes.toString("utf8").trim() === "");
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? bytes.subarray(byteOrderMark.length) : bytes;
}
