/**
 * Compares an item with its row of an earlier dataset: its class, and, of a local file, its size now. What lies on a disk is
 * compared by size and time, or by its bytes; of what lies elsewhere only its server knows, and is asked when the item is
 * run. Called by `carry-source`, which decides what comes of it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pathOfUri } from "../../shared/file-uri.js";
import type { ItemClass } from "../../shared/item-classes.js";
import { tarMemberOfUri } from "../../shared/tar-uri.js";
import type { EarlierRow } from "./earlier-rows.js";

export interface Compared {
  readonly itemClass: ItemClass;
  /** Null where it is new. */
  readonly row: EarlierRow | null;
  /** Whether the bytes are those of the row; of a failed row too. */
  readonly bytes: "same" | "changed" | "unknown";
  /** The same bytes, with another time: what the row says of their place is not true any more. */
  readonly isTouched: boolean;
  /** Of a local file as it is now, or as the row says; null where neither tells. */
  readonly size: number | null;
}

export interface ComparedItem {
  readonly uri: string;
  /** Its line is broken, so it has no bytes. */
  readonly isInvalid: boolean;
}

export interface Comparing {
  /** Every row is stale. */
  readonly isStale: boolean;
  /** Bytes decide, not size and time. */
  readonly verifyBytes: boolean;
}

export async function compareItem(
  { uri, isInvalid }: ComparedItem,
  row: EarlierRow | null,
  { isStale, verifyBytes }: Comparing,
): Promise<Compared> {
  const file = isInvalid ? null : await statOf(uri);
  const size = file === "gone" || file === null ? (row?.bytes ?? null) : file.size;
  if (row === null || isStale)
    return { itemClass: row === null ? "new" : "stale", row, bytes: "unknown", isTouched: false, size };
  const { bytes, isTouched } = isInvalid ? invalid : await compareBytes(file, row, verifyBytes);
  const ok = { same: "unchanged", changed: "changed", unknown: "unknown" } as const;
  return { itemClass: row.errorCode !== null ? "failed" : ok[bytes], row, bytes, isTouched, size };
}

const invalid = { bytes: "changed", isTouched: false } as const;

interface FileState {
  readonly size: number;
  readonly modifiedMs: number;
  /** Of a file that is read by itself; null for a member of a shard. */
  readonly path: Buffer | null;
}

/** What the file system says of the item's file; "gone" where it says nothing, null where the item is not in one. */
async function statOf(uri: string): Promise<FileState | "gone" | null> {
  const member = tarMemberOfUri(uri);
  const path = pathOfUri(member?.archive ?? uri);
  if (path === null) return null;
  // Whatever stands in the way will stand in the row, if it does so still.
  const stats = path.includes(0) ? null : await stat(path).catch(() => null);
  if (stats?.isFile() !== true) return "gone";
  const modifiedMs = stats.mtime.getTime();
  return member === null ? { size: stats.size, modifiedMs, path } : { size: member.length, modifiedMs, path: null };
}

async function compareBytes(
  file: FileState | "gone" | null,
  { bytes, modifiedMs, sha256 }: EarlierRow,
  verifyBytes: boolean,
): Promise<Pick<Compared, "bytes" | "isTouched">> {
  // A row that never had any bytes says nothing of them.
  if (bytes === null || file === null) return { bytes: "unknown", isTouched: false };
  if (file === "gone") return { bytes: "changed", isTouched: false };
  const isTouched = file.modifiedMs !== modifiedMs || file.size !== bytes;
  if (!verifyBytes) return { bytes: isTouched ? "changed" : "same", isTouched };
  if (file.size !== bytes) return { bytes: "changed", isTouched };
  if (file.path === null || sha256 === null) return { bytes: isTouched ? "changed" : "same", isTouched };
  return { bytes: (await digestOf(file.path))?.equals(sha256) ? "same" : "changed", isTouched };
}

/** Null where it cannot be read. */
async function digestOf(path: Buffer): Promise<Buffer | null> {
  const hash = createHash("sha256");
  try {
    for await (const block of createReadStream(path)) hash.update(block as Buffer);
    return hash.digest();
  } catch {
    return null;
  }
}
