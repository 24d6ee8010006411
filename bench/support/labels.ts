import { readFile } from "node:fs/promises";

/** Class index by file name, from a table with a header line and the columns `class_index` and `file`. */
export async function readClasses(path: string): Promise<Map<string, number>> {
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
