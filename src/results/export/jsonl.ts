import { encodeJsonlRow } from "../../dataset/part-jsonl.js";
import type { Exporter } from "./exporter.js";
import { columnsOf, rowsOf } from "./rows.js";
import { writeFile } from "./target.js";

/** One line a row, as JSONL parts have them. */
export const jsonlExporter: Exporter = {
  paths: (to) => [to],
  write: (context, [target]) =>
    writeFile(target?.temporary ?? "", async ({ write }) => {
      const columns = columnsOf(context);
      let rows = 0;
      for await (const row of rowsOf(context, columns)) {
        await write(encodeJsonlRow(row, columns));
        rows += 1;
      }
      return { rows, leftOut: {} };
    }),
};
