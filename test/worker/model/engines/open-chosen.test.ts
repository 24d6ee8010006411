import assert from "node:assert/strict";
import { findGpu } from "../../../../src/worker/gpu-devices.js";
import { openChosenEngine, openProvedEngine } from "../../../../src/worker/model/engines/open-chosen.js";
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
  });

  it("opens the engine that is asked for", async () => {
    const { engine, choice } = await openChosenEngine("onnx", options);
    await engine.close();
    assert.deepEqual([engine.name, choice], ["onnx/cpu", { engine: "onnx", why: "--engine onnx" }]);
  });

  it("takes an engine for proved that answers, and not one that does not open", async () => {
    const engine = await openProvedEngine({ ...options, engine: "onnx" });
    await engine.close();
    await assert.rejects(openProvedEngine({ ...options, engine: "tensorflow" }), { code: "ENGINE_UNAVAILABLE" });
  });
});
