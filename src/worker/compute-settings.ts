import type { ResolvedOptions } from "../shared/options.js";
import type { ComputeSettings } from "./compute/protocol.js";
import type { ModelDescription } from "./model/describe-model.js";
import { modelDirectory } from "./model/store.js";

/** Images above this are refused: 100 MP is four times the largest common camera, and 300 MB as RGB. */
const maxPixels = 100_000_000;
/** Shorter than a batch of one takes on any CPU, so waiting never costs more than a small batch would. */
const maxWaitMs = 20;

/** What of this machine a compute child needs to know. */
export interface ComputeHost {
  /** Directory of the model cache. */
  readonly cacheDir: string;
  /** See `ComputeSettings`. */
  readonly driverEnv: Readonly<Record<string, string>>;
}

/** What a worker's options mean for its compute child. */
export function computeSettings(model: ModelDescription, options: ResolvedOptions, host: ComputeHost): ComputeSettings {
  return {
    modelDir: modelDirectory(host.cacheDir, model.name),
    modelSha256: model.modelSha256,
    engine: options.engine,
    precision: model.precision,
    calibration: model.calibration,
    observe: false,
    batchSize: options.batchSize,
    maxWaitMs,
    decodeConcurrency: options.decodeConcurrency,
    engineThreads: options.engineThreads,
    itemTimeoutMs: options.itemTimeoutMs,
    maxPixels,
    withLogits: false,
    driverEnv: host.driverEnv,
  };
}
