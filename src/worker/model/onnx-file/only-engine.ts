import type { EngineName } from "../../../shared/engine-names.js";
import type { Model } from "../catalog.js";
import type { EngineProbes } from "../engine-choice.js";
import { modelOf } from "../manifest.js";
import { readManifest } from "../store.js";

/** Why `engine` cannot run `model` because it is an ONNX file, and what to do; null where it is none, or the engine can. */
export function whyNotAsItIs(engine: EngineName, { name, onnx }: Model): string | null {
  if (onnx === undefined || engine === "onnx") return null;
  const remedy = "take --engine onnx, or import the model's weights (.pth, safetensors) instead";
  return `model ${name} is an ONNX file, which runs as it is, on the engine onnx alone; ${remedy}`;
}

/**
 * `probes` as they are for the model in `modelDir`: to an ONNX file's other engines its form is answer enough, which stays true
 * whatever is installed, and a GPU that TensorFlow sees is none. Throws what `readManifest` and `modelOf` throw.
 */
export async function probesForModel(modelDir: string, probes: EngineProbes): Promise<EngineProbes> {
  const model = modelOf(await readManifest(modelDir));
  if (model.onnx === undefined) return probes;
  return {
    whyNot: async (engine) => whyNotAsItIs(engine, model) ?? (await probes.whyNot(engine)),
    probeCuda: async () => ({ isUsable: false, why: null }),
  };
}
