import { createHash } from "node:crypto";
import type { StridePlacement } from "../spec.js";
import { bytesOf, type FoldedWeights } from "./tensor.js";

/** What besides the tensors decides a model's answers. */
export interface DigestContext {
  readonly precision: "fp32";
  /** Tensors of v1 and v1.5 have the same shapes, but compute another function. */
  readonly stridePlacement: StridePlacement;
  /** Of the labels file of a model that has its own; null or absent for ImageNet's. */
  readonly labelsSha256?: string | null;
}

/**
 * The `modelSha256`, in hex: sha256 over the line `{"precision":…,"stridePlacement":…}` (and `"labelsSha256"`), then for each folded tensor in
 * the order of `foldedShapesOf` the line `{"name":…,"shape":[…]}` and its float32 numbers, little-endian, row-major.
 * Every line is compact JSON in UTF-8 and ends in one newline. It depends on no file format.
 */
export function digestWeights(weights: FoldedWeights, context: DigestContext): string {
  const { precision, stridePlacement, labelsSha256 = null } = context;
  const labels = labelsSha256 === null ? {} : { labelsSha256 };
  const hash = createHash("sha256").update(`${JSON.stringify({ precision, stridePlacement, ...labels })}\n`);
  for (const { name, shape, data } of weights.values()) {
    hash.update(`${JSON.stringify({ name, shape })}\n`).update(bytesOf(data));
  }
  return hash.digest("hex");
}
