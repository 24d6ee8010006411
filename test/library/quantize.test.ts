import assert from "node:assert/strict";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { quantize } from "../../src/library/quantize.js";
import { findModel } from "../../src/worker/model/catalog.js";
import { describeModel } from "../../src/worker/model/describe-model.js";
import { importModel } from "../../src/worker/model/import.js";
import { readCalibration } from "../../src/worker/model/int8/calibration.js";
import { resolveModel } from "../../src/worker/model/known-models.js";
import { requireSpec } from "../../src/worker/model/require-spec.js";
import { modelDirectory } from "../../src/worker/model/store.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";
import { fixturePath } from "../support/weight-fixtures.js";

const name = "resnet50";

describe("library/quantize", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  let cacheDir: string;
  let photos: string;

  beforeEach(async () => {
    const { modelDir } = await resnet50ForTests();
    cacheDir = join(tempDir(), "cache");
    photos = join(tempDir(), "photos");
    for (const file of ["folded.safetensors", "manifest.json"]) {
      await cp(join(modelDir, file), join(modelDirectory(cacheDir, name), file), { recursive: true });
    }
    await cp(join(projectRoot, "examples/photos"), photos, { recursive: true });
  });

  const kept = async () => (await readdir(modelDirectory(cacheDir, name))).sort();

  it("measures ranges on the images that can be decoded, proves them, and makes them this machine's", async () => {
    await writeFile(join(photos, "broken.png"), "not a picture");
    const report = await quantize(photos, { model: name, cacheDir });
    const { images, failed, cosineMean, cosineLeast, top1Agreement, path, modelSha256 } = report;
    assert.deepEqual([images, failed, top1Agreement], [4, 1, 1]);
    assert.ok(cosineMean >= cosineLeast && cosineLeast > 0.99, `cosine ${cosineLeast}`);
    assert.equal((await describeModel(cacheDir, name, "int8")).modelSha256, modelSha256);
    const { weightsSha256, ranges } = await readCalibration(path, findModel(name).spec);
    assert.equal(weightsSha256, findModel(name).modelSha256);
    // After a ReLU nothing is negative; before the sum of a block much is.
    assert.equal(ranges.get("stem")?.[0], 0);
    assert.ok((ranges.get("stage1.block1.expand")?.[0] ?? 0) < -1);
    assert.deepEqual(await kept(), ["folded.safetensors", "int8.json", "manifest.json"]);
    await rm(path);
    assert.deepEqual(await describeModel(cacheDir, name, "int8"), await describeModel(tempDir(), name, "int8"));
  });

  it("measures a network of basic blocks", async () => {
    await importModel({ cacheDir, name: "basic", path: fixturePath("basic.safetensors") });
    const { images, cosineLeast, path } = await quantize(photos, { model: "basic", cacheDir });
    assert.ok(images === 4 && cosineLeast > 0.99, `cosine ${cosineLeast}`);
    const { spec } = requireSpec(await resolveModel(cacheDir, "basic"));
    const { ranges } = await readCalibration(path, spec);
    assert.equal(ranges.get("stage2.block1.first")?.[0], 0);
    assert.ok((ranges.get("stage2.block1.second")?.[0] ?? 0) < 0);
  });

  it("takes the first images only where there is a limit", async () => {
    assert.equal((await quantize(photos, { model: name, cacheDir, limit: 2 })).images, 2);
  });

  it("keeps nothing where no image can be decoded, or none is there", async () => {
    const broken = join(tempDir(), "broken");
    await mkdir(broken);
    await assert.rejects(quantize(broken, { model: name, cacheDir }), { code: "RUN_SOURCE_EMPTY" });
    await writeFile(join(broken, "a.png"), "not a picture");
    await assert.rejects(quantize(broken, { model: name, cacheDir }), {
      code: "RUN_SOURCE_EMPTY",
      message: /none can be decoded; the last: Not an image/,
    });
    assert.deepEqual(await kept(), ["folded.safetensors", "manifest.json"]);
  });
});
