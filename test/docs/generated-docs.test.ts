import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { renderControls, renderErrors, renderFaults, renderMetrics, renderOptions } from "./render-docs.js";

const readDoc = (name: string) => readFile(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

describe("docs", () => {
  it("errors.md says what the table of codes says", async () => {
    assert.equal(await readDoc("errors.md"), renderErrors());
  });

  it("options.md says what the table of options says", async () => {
    assert.equal(await readDoc("options.md"), renderOptions());
  });

  it("fetch.md has a line for everything that the fault origin does", async () => {
    const page = await readDoc("fetch.md");
    assert.equal(page, renderFaults(page));
    assert.match(page, /^\| 64 MiB of zeros .* \| `FETCH_TOO_LARGE` \|$/m);
  });

  it("operations.md says what each command does in each state", async () => {
    const page = await readDoc("operations.md");
    assert.equal(page, renderControls(page));
    assert.match(page, /^\| \*\*paused\*\* \| no change \| → running/m);
  });

  it("operations.md has every figure that is served", async () => {
    const page = await readDoc("operations.md");
    assert.equal(page, renderMetrics(page));
    assert.match(page, /^\| `labelmill_queue_chunks` \| gauge \| {2}\| chunks that wait or are in hand/m);
  });
});
