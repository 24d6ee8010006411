import type { Precision } from "../../shared/precision.js";
import { findCalibration } from "./int8/installed.js";
import { resolveModel } from "./known-models.js";
import { type Preprocess, preprocessSha256 } from "./preprocess.js";
import { layersOf } from "./spec.js";

/** What a run pins of its model, and what a row's columns need. */
export interface ModelDescription {
  readonly name: string;
  /** Of the weights; of the weights and the ranges in an int8 precision. */
  readonly modelSha256: string;
  readonly preprocess: Preprocess;
  readonly preprocessSha256: string;
  readonly precision: Precision;
  /** Path of the ranges of an int8 precision; see `int8/calibration`. */
  readonly calibration: string | null;
  readonly embeddingWidth: number;
  readonly classes: number;
}

/**
 * What there is to say of a model without its weights. Throws what `resolveModel` throws, and in an int8 precision
 * MODEL_NOT_QUANTIZED, or MODEL_CORRUPT where its ranges cannot be used.
 */
export async function describeModel(cacheDir: string, name: string, precision: Precision): Promise<ModelDescription> {
  const model = await resolveModel(cacheDir, name);
  const { path, modelSha256 } =
    precision === "fp32"
      ? { path: null, modelSha256: model.modelSha256 }
      : await findCalibration(cacheDir, model, precision);
  const { preprocess, spec } = model;
  return {
    name,
    modelSha256,
    preprocess,
    preprocessSha256: preprocessSha256(preprocess),
    precision,
    calibration: path,
    embeddingWidth: layersOf(spec).embeddingWidth,
    classes: spec.classes,
  };
}
