import type { TableColumns } from "../../../src/producer/source/source.js";
import type { Text } from "../../../src/producer/source/text.js";

/** A text in memory, in blocks of `blockBytes`: its boundaries fall anywhere. */
export function textOf(content: string | Buffer, blockBytes = 7): Text {
  const bytes = Buffer.from(content);
  return {
    name: "/t/table",
    base: "/t",
    async *blocks(offset) {
      for (let at = offset; at < bytes.length; at += blockBytes) yield bytes.subarray(at, at + blockBytes);
    },
  };
}

export const uriOnly: TableColumns = { uriColumn: "uri", idColumn: null, keepColumns: [] };
export const withAll: TableColumns = { uriColumn: "uri", idColumn: "id", keepColumns: ["a", "b"] };
