import type { ResolvedOptions } from "../shared/options.js";
import type { ComputeSettings } from "./compute/protocol.js";
import type { ModelDescription } from "./model/known-models.js";
import { modelDirectory } from "./model/store.js";

/** Images above this are refused: 100 MP is four times the largest common camera, and 300 MB as RGB. */
const maxPixels = 100_000_000;
/** Shorter than a batch of one takes on any CPU, so waiting never costs more than a small batch would. */
const maxWaitMs = 20;

/** What a worker's options mean for its compute child. */
export function computeSettings(model: ModelDescription, options: ResolvedOptions, cacheDir: string): ComputeSettings {
  return {
    modelDir: modelDirectory(cacheDir, model.name),
    modelSha256: model.modelSha256,
    engine: "onnx",
    precision: "fp32",
    batchSize: options.batchSize,
    maxWaitMs,
    decodeConcurrency: options.decodeConcurrency,
    engineThreads: options.engineThreads,
    itemTimeoutMs: options.itemTimeoutMs,
    maxPixels,
  };
}
