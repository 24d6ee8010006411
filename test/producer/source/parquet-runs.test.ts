import assert from "node:assert/strict";
import type { Encoding, PageHeader } from "hyparquet/src/types.js";
import { checkRuns } from "../../../src/producer/source/parquet-runs.js";

const view = (...bytes: number[]) => new DataView(Uint8Array.from(bytes).buffer);
/** A run of 2^28 - 1 times the same, in five bytes and its value. */
const endless = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0x01];

function headerOf(encoding: Encoding, num_values: number): PageHeader {
  const data_page_header = { num_values, encoding, definition_level_encoding: "RLE", repetition_level_encoding: "RLE" };
  return { type: "DATA_PAGE", uncompressed_page_size: 0, compressed_page_size: 0, data_page_header } as PageHeader;
}
function headerOfV2(encoding: Encoding, num_values: number, levelBytes: number): PageHeader {
  const levels = { definition_levels_byte_length: levelBytes, repetition_levels_byte_length: 0 };
  const data_page_header_v2 = {
    num_values,
    num_nulls: 0,
    num_rows: num_values,
    encoding,
    is_compressed: false,
    ...levels,
  };
  return {
    type: "DATA_PAGE_V2",
    uncompressed_page_size: 0,
    compressed_page_size: 0,
    data_page_header_v2,
  } as PageHeader;
}

describe("producer/source/parquet-runs", () => {
  it("refuses a run that is longer than the page, among levels, indexes and flags, in both page versions", () => {
    const refuses = (page: DataView, header: PageHeader, isNullable: boolean) =>
      assert.throws(() => checkRuns(page, header, isNullable), /a page of 8 values says that one is repeated/);
    refuses(view(6, 0, 0, 0, ...endless), headerOf("PLAIN", 8), true);
    refuses(view(2, 0, 0, 0, 16, 1, 3, ...endless), headerOf("RLE_DICTIONARY", 8), true);
    refuses(view(3, ...endless), headerOf("PLAIN_DICTIONARY", 8), false);
    refuses(view(6, 0, 0, 0, ...endless), headerOf("RLE", 8), false);
    refuses(view(...endless, 3, 16, 1), headerOfV2("RLE_DICTIONARY", 8, 6), true);
    refuses(view(16, 1, 3, ...endless), headerOfV2("RLE_DICTIONARY", 8, 2), true);
  });

  it("refuses indexes of more bits than numbers have, and a run without a length", () => {
    assert.throws(() => checkRuns(view(33, 16, 1), headerOf("RLE_DICTIONARY", 8), false), /33 bits/);
    assert.throws(() => checkRuns(view(3, 0xff, 0xff), headerOf("RLE_DICTIONARY", 8), false), /without a length/);
  });

  it("accepts repeated and bit-packed runs that fill the page, and dictionaries", () => {
    checkRuns(view(2, 0, 0, 0, 16, 1), headerOf("PLAIN", 8), true);
    checkRuns(view(3, 3, 0x88, 0xc6, 0xfa), headerOf("RLE_DICTIONARY", 8), false);
    checkRuns(view(0), headerOf("RLE_DICTIONARY", 8), false);
    const dictionary = { type: "DICTIONARY_PAGE", uncompressed_page_size: 0, compressed_page_size: 0 } as PageHeader;
    checkRuns(view(...endless), dictionary, true);
  });
});
