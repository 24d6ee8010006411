import assert from "node:assert/strict";
import { openChosenEngine, openProvedEngine } from "../../../../src/worker/model/engines/open-chosen.js";
import { findGpu } from "../../../../src/worker/model/gpu-devices.js";
import { resnet50ForTests } from "../../../support/model.js";

describe("worker/model/engines/open-chosen", function () {
  this.timeout(300_000);
  let options: { modelDir: string; modelSha256: string; engineThreads: number };

  before(async () => {
    const { modelDir, modelSha256 } = await resnet50ForTests();
    options = { modelDir, modelSha256, engineThreads: 2 };
  });

  it("opens the fastest CPU engine for auto where there is no GPU", async function () {
    if ((await findGpu()) !== null) return this.skip();
    const { engine, choice } = await openChosenEngine("auto", options);
    await engine.close();
    assert.deepEqual([engine.name, choice.engine, choice.why], ["onnx/cpu", "onnx", "the fastest CPU engine here"]);
    // Nor was TensorFlow loaded to look for a GPU.
    assert.doesNotMatch(JSON.stringify(process.report.getReport()), /libtensorflow/);
  });

  it("opens the engine that is asked for", async () => {
    const { engine, choice } = await openChosenEngine("onnx", options);
    await engine.close();
    assert.deepEqual([engine.name, choice], ["onnx/cpu", { engine: "onnx", why: "--engine onnx" }]);
  });

  it("takes no engine for proved on a GPU that runs on the CPU", async () => {
    await assert.rejects(openProvedEngine({ ...options, engine: "onnx" }), /it would run as onnx\/cpu/);
  });
});
