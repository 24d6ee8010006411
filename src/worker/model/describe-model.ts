import type { Precision } from "../../shared/precision.js";
import type { Model } from "./catalog.js";
import { findCalibration } from "./int8/installed.js";
import { resolveModel } from "./known-models.js";
import { type OutputSizes, outputSizesOf } from "./output-sizes.js";
import { type Preprocess, preprocessSha256 } from "./preprocess.js";

/** What a run pins of its model, and what a row's columns need. */
export interface ModelDescription extends OutputSizes {
  readonly name: string;
  /** Of the weights; of the weights and the ranges in an int8 precision. */
  readonly modelSha256: string;
  readonly preprocess: Preprocess;
  readonly preprocessSha256: string;
  readonly precision: Precision;
  /** Path of the ranges of an int8 precision; see `int8/calibration`. */
  readonly calibration: string | null;
}

/**
 * What there is to say of a model without its weights. Throws what `resolveModel` throws, and in an int8 precision
 * MODEL_NOT_QUANTIZED, MODEL_AS_IS for an ONNX file, or MODEL_CORRUPT where its ranges cannot be used.
 */
export async function describeModel(cacheDir: string, name: string, precision: Precision): Promise<ModelDescription> {
  const model = await resolveModel(cacheDir, name);
  const described = describeFloatModel(model);
  if (precision === "fp32") return described;
  const { path, modelSha256 } = await findCalibration(cacheDir, model, precision);
  return { ...described, modelSha256, precision, calibration: path };
}

/** The same of a model at hand, in fp32. */
export function describeFloatModel(model: Model): ModelDescription {
  const { name, modelSha256, preprocess } = model;
  return {
    name,
    modelSha256,
    preprocess,
    preprocessSha256: preprocessSha256(preprocess),
    precision: "fp32",
    calibration: null,
    ...outputSizesOf(model),
  };
}
