import { LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { ResolvedOptions } from "../shared/options.js";
import { startCompute } from "./compute-client/start.js";
import { type ComputeHost, computeSettings } from "./compute-settings.js";
import { describeFloatModel } from "./model/describe-model.js";
import { whyNotInstalled } from "./model/engine-choice.js";
import type { InstalledModel } from "./model/install.js";
import { isInstalled } from "./model/is-installed.js";
import { type ImportOnnxOptions, importOnnxModel } from "./model/onnx-file/import.js";

/** The only one that runs such a file on any machine. */
const engineName = "onnx" as const;

export interface ImportOnnxFileSettings extends Omit<ImportOnnxOptions, "cacheDir" | "prove"> {
  readonly options: ResolvedOptions;
  readonly host: ComputeHost;
  readonly log: Log;
  /** Aborts the trial; nothing is kept then. */
  readonly signal: AbortSignal;
}

/** ResNet-152 takes 2 s for what the trial runs, on one core of a laptop. */
const trialMs = 60_000;

/**
 * Imports an .onnx file, after a compute child of its own has run it, since this process loads no native code. Throws
 * MODEL_NAME, OPTION_INVALID, RUN_INTERRUPTED, ENGINE_UNAVAILABLE where ONNX Runtime is not installed, and MODEL_INVALID for whatever is wrong with
 * the file, be it ONNX Runtime that says so; then nothing is kept.
 */
export async function importOnnxFile(settings: ImportOnnxFileSettings): Promise<InstalledModel> {
  const { options, host, log, signal, ...file } = settings;
  const reason = whyNotInstalled(engineName, isInstalled);
  if (reason !== null) throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: engineName, reason });
  return importOnnxModel({
    ...file,
    cacheDir: host.cacheDir,
    prove: async (modelDir, model) => {
      const engine = {
        ...computeSettings(describeFloatModel(model), options, host),
        engine: engineName,
        modelDir,
      };
      const late = AbortSignal.timeout(trialMs);
      try {
        const compute = await startCompute(engine, { log, signal: AbortSignal.any([signal, late]) });
        await compute.close();
      } catch (error) {
        if (!late.aborted) throw error;
        throw new Error(`it took more than ${trialMs / 1000} s for a few images`, { cause: error });
      }
    },
  });
}
