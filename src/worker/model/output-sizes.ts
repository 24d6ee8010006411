import type { Model } from "./catalog.js";
import { layersOf } from "./spec.js";

/** How many numbers a model says of an image. */
export interface OutputSizes {
  readonly embeddingWidth: number;
  readonly classes: number;
}

/** Those of `model`, without its weights. */
export function outputSizesOf({ spec, onnx }: Model): OutputSizes {
  if (onnx !== undefined) return { embeddingWidth: onnx.embeddingWidth, classes: onnx.classes };
  return { embeddingWidth: layersOf(spec).embeddingWidth, classes: spec.classes };
}
