import { endianness } from "node:os";
import { readCurrentEmbeddings } from "../../dataset/current-embeddings.js";
import { partsPrefix } from "../../dataset/layout.js";
import { corrupt } from "../../dataset/record-file.js";
import { LabelmillError } from "../../shared/errors.js";
import { requireEmbeddings } from "../search.js";
import { csvCell } from "./csv.js";
import type { ExportContext, Exported, Exporter } from "./exporter.js";
import { rowsOf } from "./rows.js";
import { type Output, writeFile } from "./target.js";

/** A multiple of 64, with room for any shape. */
const headerBytes = 128;

/**
 * The embeddings as one matrix of float32, `[rows, width]`, in NumPy's format 1.0 (numpy.org/doc/stable/reference/generated/
 * numpy.lib.format.html), and beside it `….ids.csv` with a line for each of its rows: item_index, item_id, uri, label.
 */
export const npyExporter: Exporter = {
  paths: (to) => [to, `${to.replace(/\.npy$/, "")}.ids.csv`],
  async write(context, [matrix, ids]) {
    requireEmbeddings(context.results);
    const { kept, exported } = await writeFile(ids?.temporary ?? "", (output) => writeIds(context, output));
    await writeFile(matrix?.temporary ?? "", (output) => writeMatrix(context, output, kept));
    return exported;
  },
};

/** The header comes first and holds the count, which the ids have told. */
async function writeMatrix({ results, signal }: ExportContext, { write }: Output, rows: number): Promise<void> {
  let [written, matrixWidth] = [0, 0];
  const { storage, files, head } = results;
  for (const file of files) {
    for await (const { itemIndices, width, floats } of readCurrentEmbeddings(storage, file, head.identity.chunkSize)) {
      signal.throwIfAborted();
      if (itemIndices.length === 0) continue;
      if (written === 0) await write(npyHeader(rows, width));
      else if (width !== matrixWidth) throw corrupt(storage, file.path, `it holds embeddings of ${width} floats`);
      await write(littleEndian(floats));
      written += itemIndices.length;
      matrixWidth = width;
    }
  }
  if (written !== rows) {
    throw corrupt(results.storage, partsPrefix, `they hold ${written} embeddings for ${rows} rows that are ok`);
  }
}

async function writeIds(context: ExportContext, { write }: Output): Promise<{ kept: number; exported: Exported }> {
  const columns = ["item_index", "item_id", "uri", "label"] as const;
  await write(`${columns.join(",")}\r\n`);
  let [rows, failed] = [0, 0];
  for await (const row of rowsOf(context, [...columns, "status"])) {
    if (row.status === "ok") {
      await write(`${columns.map((name) => csvCell(row[name])).join(",")}\r\n`);
      rows += 1;
    } else failed += 1;
  }
  if (rows === 0) {
    const out = context.results.storage.location;
    throw new LabelmillError("RESULTS_EXPORT", { out, format: "npy", reason: "no row has an embedding" });
  }
  return { kept: rows, exported: { rows, leftOut: failed === 0 ? {} : { failed } } };
}

/** Magic, version, length of the rest, and a Python literal that is padded with spaces and ended by a newline. */
function npyHeader(rows: number, width: number): Uint8Array {
  const literal = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${width}), }`;
  const header = Buffer.alloc(headerBytes, " ");
  header.write("\x93NUMPY\x01\x00", "latin1");
  header.writeUInt16LE(headerBytes - 10, 8);
  header.write(literal, 10, "latin1");
  header.write("\n", headerBytes - 1, "latin1");
  return header;
}

function littleEndian(floats: Float32Array): Uint8Array {
  const bytes = Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength);
  return endianness() === "LE" ? bytes : bytes.swap32();
}
