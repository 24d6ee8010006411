import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { readModel } from "../store.js";
import type { Engine } from "./engine.js";

/** Which engine is to run which model. */
export interface OpenEngineOptions {
  readonly engine: "onnx";
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Weights of another digest are refused. */
  readonly modelSha256: string;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

/**
 * Loads the verified weights into an engine; the caller closes it. To be called in the engine thread, since it loads
 * native code. Throws what `readModel` throws, and ENGINE_UNAVAILABLE where the engine's package does not load or
 * refuses the model.
 */
export async function openEngine({ engine, modelDir, modelSha256, engineThreads }: OpenEngineOptions): Promise<Engine> {
  const { model, weights } = await readModel(modelDir, modelSha256);
  const { spec, preprocess } = model;
  try {
    const { openOnnxEngine } = await import("./onnx.js");
    return await openOnnxEngine({ spec, preprocess, weights }, { threads: engineThreads });
  } catch (error) {
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason: messageOf(error) }, { cause: error });
  }
}
