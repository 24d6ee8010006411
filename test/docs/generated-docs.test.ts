import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { renderErrors, renderOptions } from "./render-docs.js";

const readDoc = (name: string) => readFile(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

describe("docs", () => {
  it("errors.md says what the table of codes says", async () => {
    assert.equal(await readDoc("errors.md"), renderErrors());
  });

  it("options.md says what the table of options says", async () => {
    assert.equal(await readDoc("options.md"), renderOptions());
  });
});
