import { LabelmillError } from "../../shared/errors.js";
import { type CsvRecord, readRecords } from "./csv-record.js";
import { openLines } from "./lines.js";
import { detach } from "./reference.js";
import type { Source, TableColumns } from "./source.js";
import { itemOfRow, requireColumns, type TablePlace, type TableRow, wantedColumns } from "./table.js";
import type { Text } from "./text.js";

/**
 * CSV or TSV with a header as a source. A row whose fields are not as many as the header's fails: which cell is in which
 * column cannot be known. The resume token is that of its last line.
 */
export function openCsv(text: Text, delimiter: "," | "\t", columns: TableColumns): Source {
  const leftOut: Record<string, number> = {};
  const place: TablePlace = { ...text, word: "line" };
  const onBlank = () => {
    leftOut["blank line"] = (leftOut["blank line"] ?? 0) + 1;
  };
  return {
    async *items(after) {
      let pick = after === null ? null : pickerOf(await readHeader(text, delimiter), columns);
      for await (const record of readRecords(await openLines(text, after), delimiter, onBlank)) {
        if (pick === null) {
          const header = headerOf(text, record);
          requireColumns(text.name, columns, header);
          pick = pickerOf(header, columns);
        } else {
          yield itemOfRow(pick(record), columns, place);
        }
      }
    },
    leftOut: () => leftOut,
    // As for a list: a table names its files one by one.
    roots: ["/"],
  };
}

async function readHeader(text: Text, delimiter: "," | "\t"): Promise<readonly string[]> {
  for await (const record of readRecords(await openLines(text, null), delimiter, () => {}))
    return headerOf(text, record);
  return [];
}

function headerOf(text: Text, { line, fields }: CsvRecord): readonly string[] {
  if (!("problem" in fields)) return fields;
  throw new LabelmillError("RUN_SOURCE_CONTENT", {
    source: text.name,
    expected: "a table of UTF-8 text",
    found: `a header, in line ${line}, that cannot be read: ${fields.problem}`,
  });
}

/** Picks the wanted cells of a record. */
function pickerOf(header: readonly string[], columns: TableColumns): (record: CsvRecord) => TableRow {
  const indexes = wantedColumns(columns).map((name) => header.indexOf(name));
  return ({ line, token, fields }) => {
    if ("problem" in fields) return { line, token, cells: fields };
    if (fields.length === header.length) return { line, token, cells: indexes.map((i) => detach(fields[i] ?? "")) };
    const problem = `it has ${fields.length} fields, and the header has ${header.length}`;
    return { line, token, cells: { problem } };
  };
}
