/**
 * The rows of an earlier dataset as a rerun compares items with them: an item is looked up by id and uri, in whatever order
 * items come. Exact, and in memory that is known beforehand: 48 bytes a row, or 80 where bytes are compared, so 480 or 800 MB
 * for 10 M rows. Nothing is kept of the items. Filled once, before the first item; called by `carry-source` and `plan`.
 */
import { listCurrentRows, rangeOf } from "../../dataset/current-rows.js";
import { readPartRows } from "../../dataset/part.js";
import type { Row } from "../../dataset/row.js";
import type { RunHead } from "../../dataset/run-head.js";
import type { Storage } from "../../dataset/storage/storage.js";
import { createDigestTable } from "../../shared/digest-table.js";
import { LabelmillError } from "../../shared/errors.js";

/** What is known of one row. */
export interface EarlierRow {
  /** Its `item_index`. */
  readonly index: number;
  /** Null for a row that is ok. */
  readonly errorCode: string | null;
  /** Of the fetched bytes; null where none were got. */
  readonly bytes: number | null;
  readonly modifiedMs: number | null;
  /** Null where bytes are not compared, too. */
  readonly sha256: Buffer | null;
}

export interface EarlierRows {
  readonly rows: number;
  /** Different items among them. */
  readonly items: number;
  /** The first row of the item, or null where it is new. */
  find(id: string, uri: string): EarlierRow | null;
}

export interface EarlierDataset {
  readonly storage: Storage;
  readonly head: RunHead;
}

const shaBytes = 32;

/** Reads the columns that it needs. Throws RUN_CARRY where the rows are not whole, STORAGE_*, and the signal's reason. */
export async function readEarlierRows(
  { storage, head }: EarlierDataset,
  { withSha256, signal }: { readonly withSha256: boolean; readonly signal: AbortSignal },
): Promise<EarlierRows> {
  const { chunkSize, format } = head.identity;
  const pieces = await listCurrentRows(storage, format);
  const chunks = pieces.reduce((sum, piece) => sum + piece.chunks, 0);
  const table = createTable(chunks * chunkSize, withSha256);
  const columns = ["item_index", "item_id", "uri", "error_code", "bytes", "modified_at", "sha256"] as const;
  for (const piece of pieces) {
    signal.throwIfAborted();
    for await (const row of readPartRows(storage, piece.path, columns, rangeOf(piece, chunkSize))) {
      if (row.item_index !== table.rows()) {
        const reason = `${piece.path} holds row ${row.item_index} where row ${table.rows()} is expected`;
        throw new LabelmillError("RUN_CARRY", { against: storage.location, reason });
      }
      table.add(row);
    }
  }
  return { rows: table.rows(), items: table.items(), find: table.find };
}

type ComparedRow = Pick<Row, "item_id" | "uri" | "error_code" | "bytes" | "modified_at" | "sha256">;

function createTable(most: number, withSha256: boolean) {
  const items = createDigestTable(most);
  /** By the item's number: of several rows of one item the first stands for all. */
  const firstRow = new Uint32Array(most);
  const columns = {
    bytes: new Float64Array(most),
    modifiedMs: new Float64Array(most),
    code: new Uint8Array(most),
    sha256: withSha256 ? new Uint8Array(most * shaBytes) : null,
  };
  const codes: (string | null)[] = [null];
  let rows = 0;
  return {
    rows: () => rows,
    items: items.count,
    add(row: ComparedRow) {
      const known = items.count();
      const item = items.put(row.item_id, row.uri);
      if (item === known) firstRow[item] = rows;
      columns.bytes[rows] = row.bytes ?? Number.NaN;
      columns.modifiedMs[rows] = row.modified_at?.getTime() ?? Number.NaN;
      columns.code[rows] = codeNumber(codes, row.error_code);
      if (row.sha256 !== null) columns.sha256?.set(Buffer.from(row.sha256, "hex"), rows * shaBytes);
      rows += 1;
    },
    find(id: string, uri: string): EarlierRow | null {
      const item = items.find(id, uri);
      if (item < 0) return null;
      const index = firstRow[item] ?? 0;
      const bytes = unlessNaN(columns.bytes[index]);
      const digests = bytes === null ? null : columns.sha256;
      return {
        index,
        errorCode: codes[columns.code[index] ?? 0] ?? null,
        bytes,
        modifiedMs: unlessNaN(columns.modifiedMs[index]),
        sha256: digests === null ? null : Buffer.from(digests.buffer, index * shaBytes, shaBytes),
      };
    },
  };
}

function unlessNaN(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** The table of codes has some thirty. */
function codeNumber(codes: (string | null)[], code: string | null): number {
  const known = codes.indexOf(code);
  return known < 0 ? codes.push(code) - 1 : known;
}
