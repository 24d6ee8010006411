/**
 * Making one large file of the parts of many chunks, with the same rows to the bit and what each part said of itself. It only
 * encodes: `results/compact` decides what goes together, compares, and removes.
 */
import { LabelmillError, messageOf } from "../shared/errors.js";
import type { CompactedFooter, PartFooter } from "./part-footer.js";
import { corrupt } from "./record-file.js";
import type { Storage } from "./storage/storage.js";

/** A part as it lies. */
interface PartFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/** The lines of JSONL parts, one after the other. Throws `RUN_DATASET_CORRUPT` where one has gone, and `STORAGE_*`. */
export async function joinJsonlParts(storage: Storage, parts: readonly PartFile[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (const { path } of parts) {
    const bytes = await storage.read(path);
    if (bytes === null) throw corrupt(storage, path, "it vanished while it was read");
    pieces.push(bytes);
  }
  return Buffer.concat(pieces);
}

/** The rows of Parquet parts as one Parquet file with row groups of 1,024 rows. Throws the same. */
export async function joinParquetParts(storage: Storage, parts: readonly PartFile[]): Promise<Uint8Array> {
  const [{ readParquetFooter, readTable }, { encodeTables }] = await Promise.all([
    import("./part-parquet-read.js"),
    import("./part-parquet.js"),
  ]);
  const footers: PartFooter[] = [];
  const tables: Awaited<ReturnType<typeof readTable>>[] = [];
  for (const part of parts) {
    try {
      footers.push(await readParquetFooter(storage, part));
      tables.push(await readTable(storage, part.path));
    } catch (error) {
      throw error instanceof LabelmillError ? error : corrupt(storage, part.path, messageOf(error), error);
    }
  }
  const footer: CompactedFooter = { schemaVersion: 1, parts: footers };
  return encodeTables(tables, footer);
}
