import assert from "node:assert/strict";
import { freshWeights, initModel } from "../../../src/worker/model/init.js";
import { readModel } from "../../../src/worker/model/store.js";
import { createRandom } from "../../../src/worker/model/weights/random.js";
import { useTempDir } from "../../support/temp-dir.js";
import { tinySpec } from "../../support/tiny-resnet.js";

const deviationOf = (data: Float32Array) =>
  Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);

describe("worker/model/init", function () {
  this.timeout(120_000);
  const cacheDir = useTempDir();

  it("gives resnet50 of one seed one digest, on every machine", async () => {
    const init = (name: string, seed: number) =>
      initModel({ cacheDir: cacheDir(), name, architecture: "resnet50", seed });
    const { model, modelDir } = await init("fresh", 7);
    assert.equal(model.modelSha256, "139e563f623b2fd81c448865d2202c285f3d73b17c76caf89d235902ca0fcdae");
    assert.equal((await readModel(modelDir, model.modelSha256)).weights.size, 108);
    assert.notEqual((await init("other", 8)).model.modelSha256, model.modelSha256);
    await assert.rejects(init("fresh", 7), { code: "MODEL_NAME" });
  });

  it("makes the shallow ones of basic blocks", async () => {
    const { model, modelDir } = await initModel({
      cacheDir: cacheDir(),
      name: "shallow",
      architecture: "resnet18",
      seed: 7,
    });
    assert.equal(model.title, "ResNet-18, untrained, of seed 7");
    assert.equal(model.modelSha256, "1d3cc26723113a618064024a853a6c7b7206adaefd9a34ad48050cc58f98a876");
    const { weights } = await readModel(modelDir, model.modelSha256);
    assert.deepEqual(weights.get("stage2.block1.second.weight")?.shape, [128, 128, 3, 3]);
  });

  it("distributes weights as torchvision does", () => {
    const spec = { ...tinySpec, convBias: false, stemWidth: 64, stages: [{ blocks: 1, width: 64 }], classes: 1000 };
    const { convs, fcWeight, fcBias } = freshWeights(spec, createRandom(3));
    const expected = {
      stem: Math.sqrt(2 / (49 * 64)),
      "stage1.block1.spatial": Math.sqrt(2 / (9 * 64)),
      "stage1.block1.expand": Math.sqrt(2 / 128),
    };
    for (const [name, deviation] of Object.entries(expected)) {
      const conv = convs.get(name) ?? assert.fail(name);
      assert.ok(Math.abs(deviationOf(conv.kernel) / deviation - 1) < 0.03, name);
      assert.deepEqual([conv.bias, new Set(conv.gamma), new Set(conv.variance)], [null, new Set([1]), new Set([1])]);
      assert.deepEqual([new Set(conv.beta), new Set(conv.mean)], [new Set([0]), new Set([0])]);
    }
    const bound = 1 / Math.sqrt(128);
    const largest = [...fcWeight, ...fcBias].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest <= bound && largest > bound * 0.99);
    assert.ok(Math.abs(deviationOf(fcWeight) / (bound / Math.sqrt(3)) - 1) < 0.01);
  });
});
