/**
 * A text file as a source: one path or uri a line. Relative paths are relative to the list, so that the same list means
 * the same items from any directory. A line that cannot be an item is pinned as one that fails, with its number.
 */
import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { dirname, posix } from "node:path";
import { failure, LabelmillError, messageOf } from "../../shared/errors.js";
import { pathOfUri, uriOfPath } from "../../shared/file-uri.js";
import type { Source, SourceItem } from "./source.js";

/** Longer than any path (PATH_MAX is 4,096 on Linux) and than any uri that servers accept. */
const longestLineBytes = 65_536;
const newline = 0x0a;
/** Of UTF-8, which some editors write at the start of a file. */
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

interface Line {
  readonly bytes: Buffer;
  readonly number: number;
  /** Offset of the next line in the file, in bytes. */
  readonly end: number;
}

/** `path` is absolute. The resume token is "offset of the next line, its number". */
export function openList(path: string): Source {
  const leftOut: Record<string, number> = {};
  const base = dirname(path);
  return {
    async *items(after) {
      const [offset = 0, number = 1] = after === null ? [] : after.split(",").map(Number);
      for await (const line of readLines(path, offset, number)) {
        const item = itemOfLine(line, base);
        if (item !== null) yield item;
        else leftOut["blank line"] = (leftOut["blank line"] ?? 0) + 1;
      }
    },
    leftOut: () => leftOut,
    // Whoever gives a list names its files one by one, so it is not held to one directory.
    roots: ["/"],
  };
}

function itemOfLine({ bytes: line, number, end }: Line, base: string): SourceItem | null {
  const bytes = number === 1 && line.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? line.subarray(3) : line;
  const at = { line: number, token: `${end},${number + 1}` };
  const invalid = (reason: string) => ({
    uri: bytes.subarray(0, 1024).toString("utf8"),
    failure: failure("ITEM_INVALID", { reason: `line ${number}: ${reason}` }),
    ...at,
  });
  if (bytes.length === 0 || (isUtf8(bytes) && bytes.toString("utf8").trim() === "")) return null;
  if (bytes.length > longestLineBytes) return invalid(`it is longer than ${longestLineBytes} bytes`);
  if (bytes.includes(0)) return invalid("it holds a NUL byte");
  if (!/^[a-z][a-z0-9+.-]*:/i.test(bytes.toString("latin1")))
    return { uri: uriOfPath(absolutePath(bytes, base)), ...at };
  if (!isUtf8(bytes)) return invalid("a uri must be text");
  const uri = bytes.toString("utf8").trim();
  if (!uri.toLowerCase().startsWith("file:")) return { uri, ...at };
  const path = pathOfUri(uri);
  return path === null ? invalid("expected a file: uri with an absolute local path") : { uri: uriOfPath(path), ...at };
}

/** Resolved and normalised as bytes: latin1 maps each byte to one character and back. */
function absolutePath(path: Buffer, base: string): Buffer {
  const text = path.toString("latin1");
  const joined = text.startsWith("/") ? text : `${Buffer.from(base).toString("latin1")}/${text}`;
  return Buffer.from(posix.normalize(joined), "latin1");
}

/**
 * Lines without their ends, the last one also where it has none. Memory is bounded: of a line that is too long, only as
 * much is kept as shows that it is.
 */
async function* readLines(path: string, offset: number, firstNumber: number): AsyncGenerator<Line> {
  let rest = Buffer.alloc(0);
  let dropped = 0;
  let end = offset;
  let number = firstNumber;
  const lineOf = (bytes: Buffer, ending: number): Line => {
    end += bytes.length + dropped + ending;
    dropped = 0;
    return { bytes: bytes.at(-1) === 0x0d ? bytes.subarray(0, -1) : bytes, number: number++, end };
  };
  try {
    for await (const block of createReadStream(path, { start: offset }) as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, block]);
      let start = 0;
      for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, start)) {
        yield lineOf(rest.subarray(start, at), 1);
        start = at + 1;
      }
      const kept = rest.subarray(start, start + longestLineBytes + 1);
      dropped += rest.length - start - kept.length;
      rest = kept;
    }
  } catch (error) {
    throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
  }
  if (rest.length > 0) yield lineOf(rest, 0);
}
