import type { Log } from "../shared/log.js";
import type { ResolvedOptions } from "../shared/options.js";
import { startCompute } from "./compute-client/start.js";
import { type ComputeHost, computeSettings } from "./compute-settings.js";
import { describeFloatModel } from "./model/describe-model.js";
import type { InstalledModel } from "./model/install.js";
import { type ImportOnnxOptions, importOnnxModel } from "./model/onnx-file/import.js";

export interface ImportOnnxFileSettings extends Omit<ImportOnnxOptions, "cacheDir" | "prove"> {
  readonly options: ResolvedOptions;
  readonly host: ComputeHost;
  readonly log: Log;
}

/**
 * Imports an .onnx file, after a compute child of its own has run it, since this process loads no native code. Throws
 * MODEL_NAME, OPTION_INVALID, and MODEL_INVALID for whatever is wrong with the file, be it ONNX Runtime that says so; then nothing
 * is kept.
 */
export function importOnnxFile(settings: ImportOnnxFileSettings): Promise<InstalledModel> {
  const { options, host, log, ...file } = settings;
  return importOnnxModel({
    ...file,
    cacheDir: host.cacheDir,
    prove: async (modelDir, model) => {
      const engine = {
        ...computeSettings(describeFloatModel(model), options, host),
        engine: "onnx" as const,
        modelDir,
      };
      const compute = await startCompute(engine, { log });
      await compute.close();
    },
  });
}
