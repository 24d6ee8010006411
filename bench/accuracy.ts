/**
 * `npm run bench:accuracy -- OUT labels.tsv`: top-1 and top-5 of a dataset against known classes. The table has a header
 * line with the columns `class_index` and `file`; files are compared by their last path component.
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { openResults } from "../src/results/open.js";

const [out, table] = process.argv.slice(2);
if (out === undefined || table === undefined) {
  console.error("Usage: npm run bench:accuracy -- OUT labels.tsv");
  process.exit(2);
}

const expected = await readClasses(table);
let rows = 0;
let missing = 0;
let top1 = 0;
let top5 = 0;
for await (const { uri, top_indices } of (await openResults(out)).rows({ columns: ["uri", "top_indices"] })) {
  const classIndex = expected.get(basename(uri));
  if (classIndex === undefined) continue;
  rows += 1;
  if (top_indices === null) missing += 1;
  if (top_indices?.[0] === classIndex) top1 += 1;
  if (top_indices?.slice(0, 5).includes(classIndex)) top5 += 1;
}
if (rows === 0) throw new Error(`Expected rows of ${out} to be in ${table}, found none`);
console.log(JSON.stringify({ rows, failed: missing, top1: top1 / rows, top5: top5 / rows }));

async function readClasses(path: string): Promise<Map<string, number>> {
  const [header = "", ...lines] = (await readFile(path, "utf8")).trim().split("\n");
  const columns = header.split("\t");
  const classColumn = columns.indexOf("class_index");
  const fileColumn = columns.indexOf("file");
  if (classColumn < 0 || fileColumn < 0)
    throw new Error(`Expected columns class_index and file in ${path}, got ${header}`);
  return new Map(
    lines.map((line) => {
      const cells = line.split("\t");
      return [cells[fileColumn] ?? "", Number(cells[classColumn])];
    }),
  );
}
