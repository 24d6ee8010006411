/**
 * Checks the runs of a Parquet page (the format's "RLE/bit-packing hybrid", parquet.apache.org/docs/file-format) before
 * hyparquet unrolls them: it trusts a run's length, so six bytes could make it fill two thousand million places. Called by
 * `parquet-pages` only.
 */
import type { PageHeader } from "hyparquet";

/** Whether the page holds indexes into a dictionary. */
export function isDictionaryEncoded({ data_page_header, data_page_header_v2 }: PageHeader): boolean {
  return (data_page_header ?? data_page_header_v2)?.encoding?.endsWith("_DICTIONARY") === true;
}

/** `page` is unpacked, levels and all. Throws Error where a run is longer than the page says it has values. */
export function checkRuns(page: DataView, header: PageHeader, isNullable: boolean): void {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const values = (v1 ?? v2)?.num_values;
  if (values === undefined) return;
  let at = 0;
  if (v2 !== undefined) {
    if (isNullable) checkRun(page, v2.repetition_levels_byte_length, 1, values);
    at = v2.repetition_levels_byte_length + v2.definition_levels_byte_length;
  } else if (isNullable && page.byteLength >= 4) {
    checkRun(page, 4, 1, values);
    at = 4 + page.getUint32(0, true);
  }
  if (isDictionaryEncoded(header)) {
    // hyparquet reads no indexes at all where their width is 0.
    const width = at < page.byteLength ? page.getUint8(at) : 0;
    if (width > 32) throw new Error(`a page says that its indexes have ${width} bits`);
    if (width > 0) checkRun(page, at + 1, width, values);
  } else if ((v1 ?? v2)?.encoding === "RLE") {
    checkRun(page, v2 === undefined ? at + 4 : at, 1, values);
  }
}

/** Walks from run to run until `values` are there or the page ends, where hyparquet stops as well. */
function checkRun(page: DataView, start: number, width: number, values: number): void {
  let at = start;
  for (let seen = 0; seen < values && at < page.byteLength; ) {
    const { value: header, end } = readVarint(page, at);
    const isPacked = header % 2 === 1;
    const count = Math.floor(header / 2) * (isPacked ? 8 : 1);
    // Bit-packed values come in groups of eight, the last one filled up; their bytes are there, or reading them ends.
    if (!isPacked && count > values)
      throw new Error(`a page of ${values} values says that one is repeated ${count} times`);
    at = end + (isPacked ? (count * width) / 8 : Math.ceil(width / 8));
    seen += count;
  }
}

/** Unsigned LEB128 of 32 bits. */
function readVarint(page: DataView, start: number): { value: number; end: number } {
  let value = 0;
  for (let at = start, scale = 1; at < page.byteLength && scale <= 2 ** 28; at += 1, scale *= 128) {
    const byte = page.getUint8(at);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw new Error("a run without a length");
}
