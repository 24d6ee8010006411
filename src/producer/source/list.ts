import { isBlank, type Line, longestLineBytes, openLines, tokenAfter } from "./lines.js";
import { invalidItem, readReference } from "./reference.js";
import type { Source, SourceItem } from "./source.js";
import type { Text } from "./text.js";

/**
 * A list as a source: one path or uri a line. A line that cannot be an item is pinned as one that fails, with its number.
 * The resume token is that of the line.
 */
export function openList(text: Text): Source {
  const leftOut: Record<string, number> = {};
  return {
    async *items(after) {
      for await (const line of await openLines(text, after)) {
        if (isBlank(line.bytes)) leftOut["blank line"] = (leftOut["blank line"] ?? 0) + 1;
        else yield itemOfLine(line, text);
      }
    },
    leftOut: () => leftOut,
    // Whoever gives a list names its files one by one, so it is not held to one directory.
    roots: ["/"],
  };
}

function itemOfLine(line: Line, { name, base }: Text): SourceItem {
  const { bytes, number } = line;
  const at = { line: number, token: tokenAfter(line) };
  const fail = (problem: string, shown: string) => invalidItem(at, shown, `line ${number}: ${problem}`);
  // What of it is held may end within a password, where nobody can see that it is one.
  if (bytes.length > longestLineBytes)
    return fail(`it is longer than ${longestLineBytes} bytes`, `${name}#line=${number}`);
  const read = readReference(bytes, base);
  return "uri" in read ? { uri: read.uri, ...at } : fail(read.problem, bytes.toString("utf8"));
}
