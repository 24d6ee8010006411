import type { ComputeSettings } from "../../src/worker/compute/protocol.js";

/** Settings of a compute child that loads no model, as the scripted one of the tests. */
export const childSettings: ComputeSettings = {
  modelDir: "/nowhere",
  modelSha256: "",
  engine: "onnx",
  precision: "fp32",
  calibration: null,
  observe: false,
  batchSize: 4,
  maxWaitMs: 10,
  decodeConcurrency: 2,
  engineThreads: 1,
  itemTimeoutMs: 1_000,
  maxPixels: 1000,
  withLogits: false,
  driverEnv: {},
};
