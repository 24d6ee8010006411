import assert from "node:assert/strict";
import { openChosenEngine } from "../../../../src/worker/model/engines/open-chosen.js";
import { importModel } from "../../../../src/worker/model/import.js";
import { whyNotAsItIs } from "../../../../src/worker/model/onnx-file/only-engine.js";
import { onnxPath } from "../../../support/onnx-fixtures.js";
import { useOnnxImport } from "../../../support/onnx-import.js";
import { fixturePath } from "../../../support/weight-fixtures.js";

describe("worker/model/onnx-file/only-engine", () => {
  const { cacheDir, importFile } = useOnnxImport();

  it("leaves an ONNX file to ONNX Runtime, and says what to do with another engine", async () => {
    const { model, modelDir } = await importFile(onnxPath("torchscript"));
    const options = { modelDir, modelSha256: model.modelSha256, engineThreads: 1 };
    const { engine, choice } = await openChosenEngine("auto", options);
    await engine.close();
    assert.equal(choice.engine, "onnx");
    for (const asked of ["wasm", "tensorflow", "webgpu"] as const)
      await assert.rejects(openChosenEngine(asked, options), {
        code: "ENGINE_UNAVAILABLE",
        message:
          /model tiny is an ONNX file, which runs as it is, on ONNX Runtime alone; take --engine onnx, or import/,
      });
    for (const other of ["onnx-cuda", "onnx-webgpu"] as const) assert.equal(whyNotAsItIs(other, model), null);
  });

  it("leaves other models to every engine", async () => {
    const path = fixturePath("state-dict.pth");
    const { model } = await importModel({ cacheDir: cacheDir(), name: "weights", path });
    assert.equal(whyNotAsItIs("wasm", model), null);
  });
});
