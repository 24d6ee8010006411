import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findModel } from "../../../src/worker/model/catalog.js";
import { describeModel } from "../../../src/worker/model/describe-model.js";
import { importModel } from "../../../src/worker/model/import.js";
import { listKnownModels, loadLabels, resolveModel } from "../../../src/worker/model/known-models.js";
import { listPublished } from "../../../src/worker/model/published.js";
import { isModelCached, modelDirectory, readModel, removeModel } from "../../../src/worker/model/store.js";
import { useTempDir } from "../../support/temp-dir.js";
import { fixturePath } from "../../support/weight-fixtures.js";

describe("worker/model/known-models", () => {
  const cacheDir = useTempDir();
  const importTiny = (name = "tiny") =>
    importModel({ cacheDir: cacheDir(), name, path: fixturePath("state-dict.pth") });

  it("describes resnet50 without its weights", async () => {
    const described = await describeModel(cacheDir(), "resnet50", "fp32");
    const { name, precision, embeddingWidth, classes, modelSha256, preprocessSha256 } = described;
    assert.deepEqual([name, precision, embeddingWidth, classes], ["resnet50", "fp32", 2048, 1000]);
    assert.match(modelSha256, /^[0-9a-f]{64}$/);
    assert.match(preprocessSha256, /^[0-9a-f]{64}$/);
  });

  it("finds an imported model, whole, by its name", async () => {
    const { model, modelDir } = await importTiny();
    assert.deepEqual(await resolveModel(cacheDir(), "tiny"), model);
    assert.equal(await isModelCached(cacheDir(), "tiny"), true);
    const stored = await readModel(modelDir, model.modelSha256);
    assert.deepEqual(stored.model, model);
    const { embeddingWidth, classes } = await describeModel(cacheDir(), "tiny", "fp32");
    assert.deepEqual([embeddingWidth, classes], [12, 5]);
  });

  it("refuses a name that nobody has, or that leads out of the cache, and says which are known", async () => {
    await importTiny();
    for (const name of ["tony", "../models/tiny", "", "Tiny"]) {
      await assert.rejects(resolveModel(cacheDir(), name), {
        code: "MODEL_UNKNOWN",
        message: new RegExp(`^Unknown model \`${name}\`; known: resnet50, resnet18-v1, .*resnet152-v2, tiny$`),
      });
      assert.equal(await isModelCached(cacheDir(), name), false);
      assert.equal(await removeModel(cacheDir(), name), false);
    }
  });

  it("lists the catalog and what was imported, and says what is damaged", async () => {
    await importTiny();
    await importTiny("cut");
    await importTiny("broken");
    await rm(join(modelDirectory(cacheDir(), "cut"), "folded.safetensors"));
    await writeFile(join(modelDirectory(cacheDir(), "broken"), "manifest.json"), "{}");
    await mkdir(join(cacheDir(), "models", "empty"));
    const listed = await listKnownModels(cacheDir());
    assert.deepEqual(
      listed.map(({ name, state }) => [name, state]),
      [
        ["resnet50", "not pulled"],
        ...listPublished().map(({ name }) => [name, "not pulled"]),
        ["broken", "damaged"],
        ["cut", "damaged"],
        ["empty", "damaged"],
        ["tiny", "cached"],
      ],
    );
    assert.deepEqual(await listKnownModels(join(cacheDir(), "nowhere")).then(({ length }) => length), 9);
  });

  it("removes a model, be it damaged", async () => {
    await importTiny();
    await writeFile(join(modelDirectory(cacheDir(), "tiny"), "manifest.json"), "{");
    await assert.rejects(resolveModel(cacheDir(), "tiny"), {
      code: "MODEL_CORRUPT",
      message: /run `labelmill models rm tiny` and import it again/,
    });
    assert.equal(await removeModel(cacheDir(), "tiny"), true);
    assert.deepEqual(await readdir(join(cacheDir(), "models")), []);
    assert.equal(await removeModel(cacheDir(), "tiny"), false);
  });

  it("loads ImageNet's 1,000 labels in the order of the WordNet ids", async () => {
    const labels = await loadLabels(cacheDir(), findModel("resnet50"));
    assert.equal(labels.length, 1000);
    assert.deepEqual(
      [0, 7, 285, 463, 872, 967, 999].map((index) => labels[index]),
      ["tench", "cock", "Egyptian_cat", "bucket", "tripod", "espresso", "toilet_tissue"],
    );
  });

  it("refuses weights, labels and a spec that were changed after the import", async () => {
    const { model, modelDir } = await importTiny();
    const change = async (file: string, edit: (text: string) => string) => {
      const path = join(modelDir, file);
      await writeFile(path, edit(await readFile(path, "latin1")), "latin1");
    };
    await change("labels.json", (text) => text.replace("class_0", "class_9"));
    await assert.rejects(loadLabels(cacheDir(), model), { code: "MODEL_CORRUPT", message: /another digest/ });
    await change("folded.safetensors", (text) => `${text.slice(0, -1)}\x01`);
    await assert.rejects(readModel(modelDir, model.modelSha256), {
      code: "MODEL_CORRUPT",
      message: /content has digest/,
    });
    const manifest = await readFile(join(modelDir, "manifest.json"), "utf8");
    await change("manifest.json", (text) => text.replace('"expansion": 4', '"block": "dense", "expansion": 4'));
    await assert.rejects(readModel(modelDir, model.modelSha256), {
      code: "MODEL_CORRUPT",
      message: /its manifest is not one of this version's/,
    });
    await change("manifest.json", () => manifest.replace('"stemWidth": 4', '"stemWidth": 8'));
    await assert.rejects(readModel(modelDir, model.modelSha256), {
      code: "MODEL_CORRUPT",
      message: /tensor stem.weight has shape \[4, 3, 7, 7\], expected \[8, 3, 7, 7\]/,
    });
  });
});
