import assert from "node:assert/strict";
import { findModel, listModels } from "../../../src/worker/model/catalog.js";

describe("worker/model/catalog", () => {
  it("refuses an unknown name and says which are known", () => {
    assert.throws(() => findModel("resnet51"), {
      code: "MODEL_UNKNOWN",
      message: /^Unknown model `resnet51`; known: resnet50, resnet18-v1, .*resnet152-v2$/,
    });
    assert.throws(() => findModel("toString"), { code: "MODEL_UNKNOWN" });
  });

  it("crops what the model takes in, for every model", () => {
    for (const { spec, preprocess } of listModels()) assert.equal(preprocess.cropSize, spec.inputSize);
  });
});
