import assert from "node:assert/strict";
import { precisions } from "../../../src/shared/precision.js";
import { describeModel, findModel, listModels, loadLabels } from "../../../src/worker/model/catalog.js";

describe("worker/model/catalog", () => {
  it("describes resnet50 without its weights", () => {
    const { name, precision, embeddingWidth, classes, inputSize, modelSha256, preprocessSha256 } =
      describeModel("resnet50");
    assert.deepEqual([name, precision, embeddingWidth, classes, inputSize], ["resnet50", "fp32", 2048, 1000, 224]);
    assert.match(modelSha256, /^[0-9a-f]{64}$/);
    assert.match(preprocessSha256, /^[0-9a-f]{64}$/);
  });

  it("describes each precision as a model of its own, of the same preprocessing", () => {
    const described = precisions.map((precision) => describeModel("resnet50", precision));
    assert.deepEqual(
      described.map(({ precision }) => precision),
      precisions,
    );
    assert.equal(new Set(described.map(({ modelSha256 }) => modelSha256)).size, precisions.length);
    assert.equal(new Set(described.map(({ preprocessSha256 }) => preprocessSha256)).size, 1);
    assert.equal(described[0]?.calibration, null);
    assert.match(described[1]?.calibration ?? "", /assets\/resnet50-int8\.json$/);
  });

  it("refuses an unknown name and says which are known", () => {
    assert.throws(() => findModel("resnet51"), {
      code: "MODEL_UNKNOWN",
      message: "Unknown model `resnet51`; known: resnet50",
    });
    assert.throws(() => describeModel("toString"), { code: "MODEL_UNKNOWN" });
  });

  it("crops what the model takes in, for every model", () => {
    for (const { spec, preprocess } of listModels()) assert.equal(preprocess.cropSize, spec.inputSize);
  });

  it("loads 1,000 labels in the order of the WordNet ids", async () => {
    const labels = await loadLabels("resnet50");
    assert.equal(labels.length, 1000);
    assert.deepEqual(
      [0, 7, 285, 463, 872, 967, 999].map((index) => labels[index]),
      ["tench", "cock", "Egyptian_cat", "bucket", "tripod", "espresso", "toilet_tissue"],
    );
  });
});
