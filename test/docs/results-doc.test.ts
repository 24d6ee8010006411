import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { rowColumns } from "../../src/dataset/row.js";

/** From dist/test/docs to the root of the repository. */
const page = new URL("../../../docs/results.md", import.meta.url);

async function documentedColumns(): Promise<string[][]> {
  const lines = (await readFile(page, "utf8")).split("\n");
  const rows = lines.map((line) => /^\| `(\w+)` \| `([^`]+)` \| (yes|no) \| (.+) \|$/.exec(line));
  return rows.filter((row) => row !== null).map(([, name, type, nullable]) => [name ?? "", type ?? "", nullable ?? ""]);
}

describe("docs/results.md", () => {
  it("lists exactly the columns that parts have, in order, with their types", async () => {
    const inCode = Object.entries(rowColumns).map(([name, { type, nullable }]) => [
      name,
      type,
      nullable ? "yes" : "no",
    ]);
    assert.deepEqual(await documentedColumns(), inCode);
  });
});
