import assert from "node:assert/strict";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type FileMetaData, parquetMetadata } from "hyparquet";
import { wasmMemory } from "parquet-wasm/node";
import { partPath } from "../../src/dataset/layout.js";
import { commitPart, type PartMaking, readPartCounts, readPartRows } from "../../src/dataset/part.js";
import { encodeParquet } from "../../src/dataset/part-parquet.js";
import { columnNames, countRows, type Row, rowColumns } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { collect, failedRow, inDirectory, okRow, sampleDraft, sampleRunId } from "./samples.js";

async function metadataOf(directory: string, chunk: number): Promise<FileMetaData> {
  return parquetMetadata(new Uint8Array(await readFile(join(directory, partPath(chunk, "parquet")))));
}

describe("dataset/part-parquet", () => {
  it("gives columns the same types whether all rows are ok or all failed", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await commitPart(storage, sampleDraft([okRow(0)]));
      await commitPart(storage, sampleDraft([failedRow(4)]));
      const [ok, failed] = [await metadataOf(directory, 0), await metadataOf(directory, 1)];
      assert.deepEqual(failed.schema, ok.schema);
      const top = ok.schema.filter(({ name }) => Object.hasOwn(rowColumns, name));
      assert.deepEqual(
        top.map(({ name }) => name),
        Object.keys(rowColumns),
      );
      for (const { name, repetition_type } of top) {
        assert.equal(repetition_type === "OPTIONAL", rowColumns[name as keyof Row].nullable, name);
      }
    }));

  it("keeps the making in the footer, in one row group", () =>
    inDirectory(async (directory) => {
      const draft = sampleDraft([okRow(0), failedRow(1)]);
      await commitPart(openStorage(directory), draft);
      const { key_value_metadata: entries, row_groups: groups, num_rows: rows } = await metadataOf(directory, 0);
      const footer = JSON.parse(entries?.find(({ key }) => key === "labelmill")?.value ?? "");
      const counts = countRows(draft.rows);
      assert.deepEqual(footer, { schemaVersion: 1, runId: sampleRunId, chunk: 0, counts, making: draft.making });
      assert.equal(groups.length, 1);
      assert.equal(rows, 2n);
    }));

  it("refuses the part of another chunk, and a file that is not ours", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await commitPart(storage, sampleDraft([okRow(0)]));
      await copyFile(join(directory, partPath(0, "parquet")), join(directory, partPath(7, "parquet")));
      await assert.rejects(readPartCounts(storage, 7, "parquet"), { code: "RUN_DATASET_CORRUPT", message: /chunk 0/ });
    }));

  it("keeps how many rows are duplicates: none in a part of a version that knew of none, and no more than are ok", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      const rows = [okRow(0), okRow(1)];
      const draft = sampleDraft(rows);
      const part = {
        runId: sampleRunId,
        rows,
        columns: columnNames("float32"),
        embedding: "float32" as const,
        embeddingWidth: 3,
        counts: countRows(rows),
      };
      const writtenWith = async (chunk: number, making: object) => {
        const bytes = encodeParquet({ ...part, chunk, making: making as PartMaking });
        await storage.createOnce(partPath(chunk, "parquet"), bytes);
        return (await readPartCounts(storage, chunk, "parquet"))?.duplicates;
      };
      assert.equal(await writtenWith(0, { ...draft.making, duplicates: 2 }), 2);
      const { duplicates, ...earlier } = draft.making;
      assert.equal(await writtenWith(1, earlier), 0);
      const tooMany = { code: "RUN_DATASET_CORRUPT", message: /3 duplicates of 2 rows/ };
      await assert.rejects(writtenWith(2, { ...draft.making, duplicates: 3 }), tooMany);
      const committed = await commitPart(storage, { ...sampleDraft(rows), making: { ...draft.making, duplicates: 9 } });
      assert.deepEqual([committed.won, committed.counts.duplicates], [false, 2]);
    }));

  it("holds no more wasm memory after fifty parts than after ten", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      const embeddingWidth = 2048;
      const rows = Array.from({ length: 64 }, (_, i) => ({
        ...okRow(i),
        embedding: new Float32Array(embeddingWidth).fill(i),
      }));
      const making = sampleDraft(rows).making;
      const columns = columnNames("float32");
      const counts = countRows(rows);
      const embedding = "float32" as const;
      const part = { runId: sampleRunId, chunk: 0, rows, columns, embedding, embeddingWidth, making, counts };
      await storage.createOnce(partPath(0, "parquet"), encodeParquet(part));
      const sizes: number[] = [];
      for (let n = 0; n < 50; n += 1) {
        encodeParquet(part);
        await collect(readPartRows(storage, partPath(0, "parquet")));
        sizes.push((wasmMemory() as { buffer: ArrayBuffer }).buffer.byteLength);
      }
      assert.equal(sizes.at(-1), sizes[9]);
    }));
});
