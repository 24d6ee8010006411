import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { openResults } from "../../src/results/open.js";
import { runCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { requireShared } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

describe("e2e/accuracy", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  it("labels 100 known photos with top-1 of at least 0.88 and top-5 of at least 0.97", async function () {
    const photos = await requireShared(this, "photos-labelled");
    const out = join(tempDir(), "out");
    const { code, stderr } = await runCli(["run", photos, "--out", out]);
    assert.equal(code, 0, stderr);
    const lines = (await readFile(join(photos, "labels.tsv"), "utf8")).trim().split("\n").slice(1);
    const classes = new Map(lines.map((line) => [line.split("\t")[1], Number(line.split("\t")[0])]));
    let [rows, top1, top5] = [0, 0, 0];
    for await (const row of (await openResults(out)).rows({ columns: ["uri", "top_indices"] })) {
      const expected = classes.get(basename(row.uri));
      rows += 1;
      if (row.top_indices?.[0] === expected) top1 += 1;
      if (expected !== undefined && row.top_indices?.includes(expected)) top5 += 1;
    }
    assert.equal(rows, 100);
    assert.ok(top1 >= 88 && top5 >= 97, `top-1 ${top1}, top-5 ${top5} of 100`);
  });
});
