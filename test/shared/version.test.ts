import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { version } from "../../src/shared/version.js";

describe("shared/version", () => {
  it("is the package's", async () => {
    const packageJson = new URL("../../../package.json", import.meta.url);
    assert.equal(version, JSON.parse(await readFile(packageJson, "utf8")).version);
  });
});
