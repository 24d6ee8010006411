import type { EngineName } from "../../../shared/engine-names.js";
import type { Model } from "../catalog.js";
import { onnxProviders } from "../onnx-providers.js";

/** Why `engine` cannot run `model` because it is an ONNX file, and what to do; null where it is none, or the engine can. */
export function whyNotAsItIs(engine: EngineName, { name, onnx }: Model): string | null {
  if (onnx === undefined || onnxProviders[engine] !== undefined) return null;
  const remedy = "take --engine onnx, or import the model's weights (.pth, safetensors) instead";
  return `model ${name} is an ONNX file, which runs as it is, on ONNX Runtime alone; ${remedy}`;
}
