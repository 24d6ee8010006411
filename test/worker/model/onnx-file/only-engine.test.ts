import assert from "node:assert/strict";
import { chooseEngine, type EngineProbes } from "../../../../src/worker/model/engine-choice.js";
import { importModel } from "../../../../src/worker/model/import.js";
import { probesForModel } from "../../../../src/worker/model/onnx-file/only-engine.js";
import { onnxPath } from "../../../support/onnx-fixtures.js";
import { useOnnxImport } from "../../../support/onnx-import.js";
import { fixturePath } from "../../../support/weight-fixtures.js";

describe("worker/model/onnx-file/only-engine", () => {
  const { cacheDir, importFile } = useOnnxImport();
  /** A machine with everything, and a GPU that TensorFlow sees. */
  const everything: EngineProbes = { whyNot: async () => null, probeCuda: async () => ({ isUsable: true }) };

  it("leaves an ONNX file to the engine onnx, be there a GPU for another", async () => {
    const { modelDir } = await importFile(onnxPath("torchscript"));
    const probes = await probesForModel(modelDir, everything);
    assert.equal((await chooseEngine("auto", probes)).engine, "onnx");
    for (const engine of ["wasm", "tensorflow", "webgpu"] as const)
      await assert.rejects(chooseEngine(engine, probes), {
        code: "ENGINE_UNAVAILABLE",
        message:
          /model tiny is an ONNX file, which runs as it is, on the engine onnx alone; take --engine onnx, or import/,
      });
  });

  it("says why where onnx itself cannot run, and never takes another", async () => {
    const { modelDir } = await importFile(onnxPath("torchscript"));
    const probes = await probesForModel(modelDir, { ...everything, whyNot: async () => "it is not installed" });
    await assert.rejects(chooseEngine("auto", probes), {
      message: /onnx cannot run: it is not installed; .*ONNX file/,
    });
  });

  it("leaves other models as they are", async () => {
    const path = fixturePath("state-dict.pth");
    const { modelDir } = await importModel({ cacheDir: cacheDir(), name: "weights", path });
    assert.equal(await probesForModel(modelDir, everything), everything);
  });
});
