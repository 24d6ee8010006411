import assert from "node:assert/strict";
import type { ComputeSettings, EngineReport } from "../../../src/worker/compute/protocol.js";
import {
  requireCudaEngine,
  requireSameGpuEngine,
  startDevices,
} from "../../../src/worker/compute-client/start-devices.js";
import { hasGpuFor } from "../../../src/worker/model/gpu-devices.js";
import { resnet50ForTests } from "../../support/model.js";

describe("worker/compute-client/start-devices", function () {
  this.timeout(300_000);

  it("refuses engines that cannot be told which GPU to take", () => {
    for (const engine of ["onnx", "wasm", "webgpu", "onnx-webgpu"] as const) {
      assert.throws(() => requireCudaEngine("all", engine), {
        code: "ENGINE_DEVICE",
        message: `Cannot use --devices all: it chooses among CUDA GPUs, and engine ${engine} cannot be given one; leave it out, or take --engine tensorflow or onnx-cuda`,
      });
    }
    requireCudaEngine([0], "onnx-cuda");
    requireCudaEngine([0], "tensorflow");
    requireCudaEngine([0], "auto");
  });

  it("refuses GPUs on which auto took different engines", () => {
    const report: EngineReport = {
      engine: "tensorflow/gpu",
      chosen: "tensorflow",
      isOnGpu: true,
      why: "it runs on the GPU",
      embeddingWidth: 2048,
      loadMs: 0,
      imageMs: 1,
      batchSize: 8,
      whyBatchSize: "a test",
    };
    const other: EngineReport = { ...report, engine: "onnx/cuda", chosen: "onnx-cuda" };
    assert.throws(() => requireSameGpuEngine([0, 1], [report, other]), {
      code: "ENGINE_DEVICE",
      message:
        "Cannot use --devices 0,1: it chooses among CUDA GPUs, and not all of them run the same engine, but tensorflow/gpu and onnx/cuda; leave it out, or take --engine tensorflow or onnx-cuda",
    });
    requireSameGpuEngine([0, 1], [report, report]);
    requireSameGpuEngine([0, 1], [other, other]);
  });

  it("refuses what auto finds where that is no engine on CUDA, and leaves no child behind", async function () {
    if (await hasGpuFor("onnx-cuda")) return this.skip();
    const { modelDir, modelSha256 } = await resnet50ForTests();
    const settings: ComputeSettings = {
      modelDir,
      modelSha256,
      engine: "auto",
      precision: "fp32",
      calibration: null,
      observe: false,
      batchSize: null,
      maxWaitMs: 50,
      decodeConcurrency: 2,
      engineThreads: 1,
      itemTimeoutMs: 30_000,
      maxPixels: 100_000_000,
      withLogits: false,
      driverEnv: {},
    };
    const gpus = [0, 1].map((index) => ({ index, name: "a GPU that is not there", env: {} }));
    // A child that is left would keep this process from its end, which the test reporter counts as a failure.
    await assert.rejects(startDevices(settings, gpus), {
      code: "ENGINE_DEVICE",
      message: /^Cannot use --devices 0,1: .*engine onnx\/cpu was taken \(the fastest CPU engine here.*\)/,
    });
  });
});
