/**
 * Lines of a text of any size, with their numbers and offsets, so that a later pass can begin at any of them. What a line
 * means is its caller's: a list, a table. Memory is bounded by the longest line that is taken, whatever the text holds.
 */
import { isUtf8 } from "node:buffer";
import { crc32 } from "node:zlib";
import { LabelmillError } from "../../shared/errors.js";
import type { Text } from "./text.js";

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
  /** Its offset in the text, in bytes. */
  readonly start: number;
  /** Offset of the next line. */
  readonly end: number;
}

/** Where a line begins. */
interface LinePosition {
  readonly offset: number;
  readonly number: number;
}

/** Of `line`, to be kept as a resume token: "offset, number, offset of the next line, CRC-32". */
export function tokenAfter({ start, number, end, bytes }: Line): string {
  return [start, number, end, crc32(bytes)].join(",");
}

/**
 * The lines of `text` behind the one that the token `after` was made of; all for null. That line is read again, since a text
 * that was changed before it would go on in the middle of another line, or end early. Throws RUN_SOURCE_CHANGED.
 */
export async function openLines(text: Text, after: string | null): Promise<AsyncGenerator<Line>> {
  const [offset = 0, number = 1, end = 0, sum = 0] = after === null ? [] : after.split(",").map(Number);
  const lines = readLines(text.blocks(offset), { offset, number });
  if (after === null) return lines;
  const { value: last } = await lines.next();
  // A last line without an end may have got one since: no more than two bytes.
  const isSame = last !== undefined && crc32(last.bytes) === sum && last.end >= end && last.end <= end + 2;
  if (isSame) return lines;
  await lines.return(undefined);
  const reason = `line ${number} of ${text.name} is not what it was`;
  throw new LabelmillError("RUN_SOURCE_CHANGED", { reason });
}

/** Splits a text, of which `blocks` are the bytes from `start` on, into lines; the last one also where it has no end. */
async function* readLines(blocks: AsyncIterable<Buffer>, start: LinePosition): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let dropped = 0;
  let end = start.offset;
  let number = start.number;
  const lineOf = (bytes: Buffer, ending: number): Line => {
    const begin = end;
    end += bytes.length + dropped + ending;
    dropped = 0;
    const hasReturn = bytes.length <= longestLineBytes && bytes.at(-1) === carriageReturn;
    const kept = bytes.subarray(0, hasReturn ? -1 : longestLineBytes + 1);
    return { bytes: number === 1 ? withoutMark(kept) : kept, hasReturn, number: number++, start: begin, end };
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
