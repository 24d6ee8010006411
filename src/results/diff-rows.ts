/**
 * The rows of one dataset as `diff` compares another's with them: each is found by its item's id, once. Of rows with one id the
 * first is found first, and so on: the first of one dataset is compared with the first of the other. 59 bytes a row.
 */
import type { Row } from "../dataset/row.js";
import { createDigestTable } from "../shared/digest-table.js";

export const diffColumns = ["item_index", "item_id", "uri", "status", "label", "score"] as const;
export type DiffRow = Pick<Row, (typeof diffColumns)[number]>;

/** What is kept of a row. */
export interface KeptRow {
  readonly itemIndex: number;
  /** Null for a row that failed. */
  readonly label: string | null;
  readonly score: number;
}

/** A place for `most` rows. */
export function createDiffRows(most: number) {
  const ids = createDigestTable(most);
  /** By the id's number: its first row that was not taken yet, and its last; 0 is none, n the row n - 1. */
  const first = new Uint32Array(most);
  const last = new Uint32Array(most);
  /** By row: the next one with the same id. */
  const next = new Uint32Array(most);
  const itemIndices = new Float64Array(most);
  const scores = new Float64Array(most);
  const labels = new Uint32Array(most);
  const names = createNames();
  let rows = 0;
  let taken = 0;
  return {
    add({ item_index, item_id, label, score }: DiffRow): void {
      const row = rows + 1;
      const id = ids.put(item_id);
      const before = last[id] ?? 0;
      if (before > 0) next[before - 1] = row;
      else first[id] = row;
      last[id] = row;
      itemIndices[rows] = item_index;
      scores[rows] = score ?? Number.NaN;
      labels[rows] = names.numberOf(label);
      rows = row;
    },
    /** The first row with that id that was not taken before; null where there is none. */
    take(id: string): KeptRow | null {
      const number = ids.find(id);
      const row = (number < 0 ? 0 : (first[number] ?? 0)) - 1;
      if (row < 0) return null;
      first[number] = next[row] ?? 0;
      taken += 1;
      return {
        itemIndex: itemIndices[row] ?? 0,
        label: names.nameOf(labels[row] ?? 0),
        score: scores[row] ?? Number.NaN,
      };
    },
    rows: () => rows,
    /** Rows that nobody took. */
    left: () => rows - taken,
  };
}

function createNames() {
  const names: (string | null)[] = [null];
  const numbers = new Map<string | null, number>([[null, 0]]);
  return {
    numberOf(name: string | null): number {
      const known = numbers.get(name);
      if (known !== undefined) return known;
      numbers.set(name, names.push(name) - 1);
      return names.length - 1;
    },
    nameOf: (number: number) => names[number] ?? null,
  };
}
