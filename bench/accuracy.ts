/**
 * `npm run bench:accuracy -- OUT labels.tsv`: top-1 and top-5 of a dataset against known classes. The table has a header
 * line with the columns `class_index` and `file`; files are compared by their last path component.
 */
import { basename } from "node:path";
import { openResults } from "../src/results/open.js";
import { readClasses } from "./support/labels.js";

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
