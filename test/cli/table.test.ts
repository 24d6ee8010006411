import assert from "node:assert/strict";
import { formatTable } from "../../src/cli/table.js";

describe("cli/table", () => {
  it("aligns columns, numbers to the right, without spaces at the ends of lines", () => {
    const table = formatTable(
      ["name", "n", "note"],
      [
        ["a", 5, ""],
        ["longer", 1200, "x"],
      ],
    );
    assert.deepEqual(table.split("\n"), ["name       n  note", "a          5", "longer  1200  x"]);
  });

  it("prints the header alone where there are no rows", () => {
    assert.equal(formatTable(["name", "n"], []), "name  n");
  });
});
