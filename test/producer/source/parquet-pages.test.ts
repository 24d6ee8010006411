import assert from "node:assert/strict";
import type { ColumnMetaData, SchemaTree } from "hyparquet";
import { type ColumnChunk, readPages } from "../../../src/producer/source/parquet-pages.js";
import { collect } from "../../support/temp-dir.js";

/** A small number as Thrift's compact protocol has it: zigzag. */
const small = (value: number) => {
  assert.ok(value < 64);
  return value * 2;
};

/** A data page of plain texts, with its header: type, both sizes, and the values, encoding and levels of a page of version 1. */
function pageOf(...texts: readonly string[]): Buffer {
  const data = Buffer.concat(
    texts.map((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      return Buffer.concat([length, Buffer.from(text)]);
    }),
  );
  const sizes = [0x15, small(0), 0x15, small(data.length), 0x15, small(data.length)];
  const values = [0x2c, 0x15, small(texts.length), 0x15, small(0), 0x15, small(3), 0x15, small(3), 0];
  return Buffer.concat([Buffer.from([...sizes, ...values, 0]), data]);
}

function chunkOf(bytes: Buffer, rows: number): ColumnChunk {
  const element = { name: "uri", type: "BYTE_ARRAY", repetition_type: "REQUIRED", converted_type: "UTF8" } as const;
  const leaf: SchemaTree = { children: [], count: 1, element, path: ["uri"] };
  const root: SchemaTree = { children: [leaf], count: 2, element: { name: "schema" }, path: [] };
  const meta: ColumnMetaData = {
    type: "BYTE_ARRAY",
    encodings: ["PLAIN"],
    path_in_schema: ["uri"],
    codec: "UNCOMPRESSED",
    num_values: BigInt(rows),
    total_uncompressed_size: BigInt(bytes.length),
    total_compressed_size: BigInt(bytes.length),
    data_page_offset: 0n,
  };
  return { meta, schemaPath: [root, leaf], rows };
}

describe("producer/source/parquet-pages", () => {
  const pagesOf = async (bytes: Buffer, rows: number, skip = 0) => {
    const pages = readPages(async (start, end) => bytes.subarray(start, end), chunkOf(bytes, rows), skip);
    return (await collect(pages)).map((page) => [...page]);
  };

  it("gives the values of each page from a row on", async () => {
    const bytes = Buffer.concat([pageOf("a", "b"), pageOf("c")]);
    assert.deepEqual(await pagesOf(bytes, 3), [["a", "b"], ["c"]]);
    assert.deepEqual(await pagesOf(bytes, 3, 1), [["b"], ["c"]]);
    assert.deepEqual(await pagesOf(bytes, 3, 2), [["c"]]);
  });

  it("passes over pages without a value, which some writers make", async () => {
    const bytes = Buffer.concat([pageOf(), pageOf("a"), pageOf(), pageOf("b"), pageOf()]);
    assert.deepEqual(await pagesOf(bytes, 2), [["a"], ["b"]]);
  });

  it("says that a column ends before its rows", async () => {
    await assert.rejects(pagesOf(pageOf("a"), 2), /column "uri" ends after 1 of 2 rows/);
  });
});
