import type { Row } from "../../dataset/row.js";
import type { Exporter } from "./exporter.js";
import { columnsOf, rowsOf } from "./rows.js";
import { writeFile } from "./target.js";

/** A table as RFC 4180 has it: CRLF, a header, quotes where they are needed; lists and `extra` are JSON, null is empty. */
export const csvExporter: Exporter = {
  paths: (to) => [to],
  write: (context, [target]) =>
    writeFile(target?.temporary ?? "", async ({ write }) => {
      const columns = columnsOf(context);
      await write(`${columns.join(",")}\r\n`);
      let rows = 0;
      for await (const row of rowsOf(context, columns)) {
        await write(`${columns.map((name) => csvCell(row[name])).join(",")}\r\n`);
        rows += 1;
      }
      return { rows, leftOut: {} };
    }),
};

/**
 * One cell. Text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a carriage return;
 * owasp.org/www-community/attacks/CSV_Injection) gets an apostrophe in front: ids and labels come from strangers.
 */
export function csvCell(value: Row[keyof Row]): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === "string" ? value : JSON.stringify(value instanceof Float32Array ? [...value] : value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
