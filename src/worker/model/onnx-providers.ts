import type { EngineName } from "../../shared/engine-names.js";

/** What executes ONNX Runtime's graphs. */
export type OnnxProvider = "cpu" | "cuda" | "webgpu";

/** The provider of each engine that is ONNX Runtime. Here and not in `onnx`, which loads native code. */
export const onnxProviders: Readonly<Partial<Record<EngineName, OnnxProvider>>> = {
  onnx: "cpu",
  "onnx-cuda": "cuda",
  "onnx-webgpu": "webgpu",
};
