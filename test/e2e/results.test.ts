import assert from "node:assert/strict";
import { join } from "node:path";
import { okRow } from "../dataset/samples.js";
import { writeRows } from "../results/samples.js";
import { runCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");

describe("e2e/results", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  it("searches a real run by an image: the photo itself is the nearest, with a cosine of 1", async () => {
    const out = join(tempDir(), "out");
    const run = await runCli(["run", photos, "--out", out]);
    assert.equal(run.code, 0, run.stderr);
    const image = join(photos, "chelsea.png");
    const found = await runCli(["results", "search", out, "--image", image, "--json"]);
    assert.equal(found.code, 0, found.stderr);
    const { hits } = JSON.parse(found.stdout);
    assert.equal(hits.length, 4);
    assert.equal(hits[0].uri, image);
    assert.ok(hits[0].cosine > 1 - 1e-9 && hits[1].cosine < 0.99, found.stdout);
    const table = await runCli(["results", "search", out, "--label", "Egyptian_ca"]);
    assert.equal(table.code, 2);
    assert.match(table.stderr, /near: Egyptian_cat \[RESULTS_NOT_FOUND\]/);
  });

  it("refuses an image for a dataset of another model than the one in the cache, and what is no image", async () => {
    const out = join(tempDir(), "out");
    await writeRows(out, [okRow(0)]);
    const other = await runCli(["results", "search", out, "--image", join(photos, "chelsea.png")]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /digest a{64}.*\[RESULTS_MODEL_DIFFERS\]/);
    const both = await runCli(["results", "search", out, "--label", "1", "--index", "2"]);
    assert.equal(both.code, 2);
    assert.match(both.stderr, /one of --image, --id, --index and --label/);
  });
});
