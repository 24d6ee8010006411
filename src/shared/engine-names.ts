/** The engines that a model can be executed by. ONNX Runtime is one engine a provider: `onnx` is its CPU provider. */
export const engineNames = ["onnx", "wasm", "tensorflow", "webgpu", "onnx-cuda", "onnx-webgpu"] as const;

export type EngineName = (typeof engineNames)[number];
/** What a user may ask for; `auto` leaves the choice to the worker. */
export type EngineRequest = EngineName | "auto";

/** CUDA GPUs that a user names, one compute process each. */
export type DevicesRequest = "all" | readonly number[];
