import { isBlank, type Line, longestLineBytes, positionOf, readLines, tokenAfter } from "./lines.js";
import { invalidItem, readReference } from "./reference.js";
import type { Source, SourceItem } from "./source.js";
import type { Text } from "./text.js";

/**
 * A list as a source: one path or uri a line. A line that cannot be an item is pinned as one that fails, with its number.
 * The resume token is "offset of the next line, its number".
 */
export function openList(text: Text): Source {
  const leftOut: Record<string, number> = {};
  return {
    async *items(after) {
      const start = positionOf(after);
      for await (const line of readLines(text.blocks(start.offset), start)) {
        if (isBlank(line.bytes)) leftOut["blank line"] = (leftOut["blank line"] ?? 0) + 1;
        else yield itemOfLine(line, text.base);
      }
    },
    leftOut: () => leftOut,
    // Whoever gives a list names its files one by one, so it is not held to one directory.
    roots: ["/"],
  };
}

function itemOfLine(line: Line, base: string): SourceItem {
  const { bytes, number } = line;
  const at = { line: number, token: tokenAfter(line) };
  const read =
    bytes.length > longestLineBytes
      ? { problem: `it is longer than ${longestLineBytes} bytes` }
      : readReference(bytes, base);
  if ("uri" in read) return { uri: read.uri, ...at };
  return invalidItem(at, bytes.subarray(0, 1024).toString("utf8"), `line ${number}: ${read.problem}`);
}
