import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { joinBlocks } from "../../src/dataset/embedding-block.js";
import { type PartFormat, partPath } from "../../src/dataset/layout.js";
import {
  commitPart,
  type PartDraft,
  readPartCounts,
  readPartEmbeddings,
  readPartRows,
} from "../../src/dataset/part.js";
import { countRows, type Row } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { collect, failedRow, inDirectory, okRow, sampleDraft } from "./samples.js";

const formats: readonly PartFormat[] = ["parquet", "jsonl"];
const mixedRows = (): Row[] => [okRow(0), failedRow(1), okRow(2), failedRow(3, "FETCH_NOT_FOUND")];

/** Strings with everything but lone surrogates, which UTF-8 cannot hold. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("", "\n", "\u2028", "\0", '"embedding":[1]'),
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const probability = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);
// hyparquet gives a map as a plain object, in which this key is no key.
const columnName = text.filter((name) => name !== "__proto__");

const anyRow: fc.Arbitrary<Row> = fc.record(
  {
    run_id: fc.constant(okRow(0).run_id),
    item_index: fc.constant(0),
    item_id: text,
    uri: text,
    status: fc.constantFrom("ok", "failed"),
    error_code: optional(text),
    error_message: optional(text),
    label: optional(text),
    label_index: optional(count),
    score: optional(probability),
    top_labels: optional(fc.array(text)),
    top_indices: optional(fc.array(count)),
    top_scores: optional(fc.array(probability)),
    embedding: fc
      .float32Array({ minLength: 3, maxLength: 3, noNaN: true, noDefaultInfinity: true })
      .map((floats) => floats.map((x) => x + 0)),
    width: optional(count),
    height: optional(count),
    format: optional(text),
    bytes: optional(fc.maxSafeNat()),
    sha256: optional(text),
    etag: optional(text),
    modified_at: optional(fc.date({ noInvalidDate: true })),
    source_line: optional(fc.maxSafeNat()),
    extra: optional(fc.dictionary(columnName, text, { noNullPrototype: true })),
    model: text,
    model_sha256: text,
    preprocess_sha256: text,
    precision: text,
  },
  { noNullPrototype: true },
);

for (const format of formats) {
  const readAll = (directory: string, chunk = 0) =>
    collect(readPartRows(openStorage(directory), partPath(chunk, format)));

  describe(`dataset/part (${format})`, () => {
    it("gives back any rows that were committed", () =>
      inDirectory(async (directory) => {
        let chunk = 0;
        const property = fc.asyncProperty(fc.array(anyRow, { minLength: 1, maxLength: 4 }), async (drawn) => {
          const rows = drawn.map((row, i) => ({ ...row, item_index: chunk * 4 + i }));
          const { counts, won } = await commitPart(openStorage(directory), sampleDraft(rows, { format }));
          assert.equal(won, true);
          assert.deepEqual(counts, { ...countRows(rows), duplicates: 0, carried: 0 });
          assert.deepEqual(await readAll(directory, chunk), rows);
          chunk += 1;
        });
        await fc.assert(property, { numRuns: 60 });
      }));

    it("lets the first of two commits win, and gives the other its counts", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        const outvoted = [failedRow(0), failedRow(1), failedRow(2), failedRow(3)];
        const drafts = [mixedRows(), outvoted].map((rows) => sampleDraft(rows, { format }));
        const results = await Promise.all(drafts.map((draft) => commitPart(storage, draft)));
        assert.deepEqual(results.map(({ won }) => won).sort(), [false, true]);
        assert.deepEqual(results[0]?.counts, results[1]?.counts);
        assert.deepEqual(results[0]?.counts, await readPartCounts(storage, 0, format));
        assert.deepEqual(results[0]?.counts, { ...countRows(await readAll(directory)), duplicates: 0, carried: 0 });
        assert.equal((await readdir(join(directory, "parts"))).length, 1);
      }));

    it("counts a part, and says null of one that is absent", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        assert.equal(await readPartCounts(storage, 0, format), null);
        await commitPart(storage, sampleDraft(mixedRows(), { format }));
        const failuresByCode = { DECODE_CORRUPT: 1, FETCH_NOT_FOUND: 1 };
        assert.deepEqual(await readPartCounts(storage, 0, format), {
          items: 4,
          ok: 2,
          failed: 2,
          failuresByCode,
          duplicates: 0,
          carried: 0,
        });
      }));

    it("commits a chunk in which everything failed", () =>
      inDirectory(async (directory) => {
        const rows = [failedRow(0), failedRow(1)];
        await commitPart(openStorage(directory), sampleDraft(rows, { format }));
        assert.deepEqual(await readAll(directory), rows);
      }));

    it("leaves embeddings out of a run that keeps none", () =>
      inDirectory(async (directory) => {
        await commitPart(openStorage(directory), sampleDraft(mixedRows(), { format, embedding: "none" }));
        assert.deepEqual(
          await readAll(directory),
          mixedRows().map((row) => ({ ...row, embedding: null })),
        );
        const bytes = await readFile(join(directory, partPath(0, format)));
        assert.equal(bytes.includes("embedding"), false);
      }));

    it("keeps embeddings as halves, and reads back what those are", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        await commitPart(storage, sampleDraft(mixedRows(), { format, embedding: "float16" }));
        // 0.1 and 1/3 to 11 significant bits.
        const halves = (row: Row) => row.embedding && Float32Array.of(row.item_index, 1638 / 2 ** 14, 1365 / 2 ** 12);
        const expected = mixedRows().map((row) => ({ ...row, embedding: halves(row) }));
        assert.deepEqual(await readAll(directory), expected);
        const { itemIndices, width, floats } = joinBlocks(
          await collect(readPartEmbeddings(storage, partPath(0, format))),
        );
        const there = expected.filter((row) => row.embedding !== null);
        assert.deepEqual(
          itemIndices,
          there.map((row) => row.item_index),
        );
        assert.equal(width, 3);
        assert.deepEqual(
          [...floats],
          there.flatMap((row) => [...(row.embedding ?? [])]),
        );
      }));

    it("reads the asked-for columns alone", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        await commitPart(storage, sampleDraft(mixedRows(), { format }));
        for (const columns of [["label", "item_index"], ["embedding"]] as const) {
          const expected = mixedRows().map((row) => Object.fromEntries(columns.map((name) => [name, row[name]])));
          assert.deepEqual(await collect(readPartRows(storage, partPath(0, format), columns)), expected);
        }
      }));

    it("replaces lone surrogates, which UTF-8 cannot hold", () =>
      inDirectory(async (directory) => {
        const row = { ...okRow(0), uri: "a\ud800b", top_labels: ["\udfff", "𝄞"], extra: { "k\ud800": "v\udc00" } };
        await commitPart(openStorage(directory), sampleDraft([row], { format }));
        const [read] = await readAll(directory);
        assert.deepEqual([read?.uri, read?.top_labels], ["a\ufffdb", ["\ufffd", "𝄞"]]);
        assert.deepEqual(read?.extra, { "k\ufffd": "v\ufffd" });
      }));

    it("refuses rows that are not exactly the chunk's, before anything is written", () =>
      inDirectory(async (directory) => {
        const wrong: PartDraft[] = [
          sampleDraft([]),
          sampleDraft([okRow(0), okRow(1), okRow(2), okRow(3), okRow(4)]),
          sampleDraft([okRow(0), okRow(2)]),
          { ...sampleDraft([okRow(0)]), chunk: 1 },
          sampleDraft([{ ...okRow(0), run_id: "20260102-ffffffff" }]),
          sampleDraft([{ ...okRow(0), embedding: Float32Array.of(1, 2) }]),
          sampleDraft([{ ...okRow(0), embedding: null }]),
        ];
        for (const draft of wrong) await assert.rejects(commitPart(openStorage(directory), draft), RangeError);
        assert.deepEqual(await readdir(directory), []);
      }));

    it("refuses a damaged or cut part", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        await commitPart(storage, sampleDraft(mixedRows(), { format }));
        const file = join(directory, partPath(0, format));
        const whole = await readFile(file);
        const footerGone = Buffer.from(whole).fill(0x7b, whole.length - 400, whole.length - 8);
        for (const bytes of [whole.subarray(0, whole.length - 9), Buffer.from("PAR1{"), footerGone]) {
          await writeFile(file, bytes);
          await assert.rejects(readPartCounts(storage, 0, format), {
            code: "RUN_DATASET_CORRUPT",
            message: /part-00000000/,
          });
          await assert.rejects(readAll(directory), { code: "RUN_DATASET_CORRUPT" });
          const commit = commitPart(storage, sampleDraft(mixedRows(), { format }));
          await assert.rejects(commit, { code: "RUN_DATASET_CORRUPT" });
        }
      }));

    it("refuses a part of another length than its chunk", () =>
      inDirectory(async (directory) => {
        const storage = openStorage(directory);
        await commitPart(storage, sampleDraft([okRow(0)], { format }));
        const commit = commitPart(storage, sampleDraft([okRow(0), okRow(1)], { format }));
        await assert.rejects(commit, { code: "RUN_DATASET_CORRUPT", message: /1 rows.*2 items/ });
      }));
  });
}
