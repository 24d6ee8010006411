import { createHash } from "node:crypto";
import type { StridePlacement } from "../spec.js";
import { bytesOf, type FoldedWeights } from "./tensor.js";

/** What besides the tensors decides a model's answers. */
export interface DigestContext {
  readonly precision: "fp32";
  /** Tensors of v1 and v1.5 have the same shapes, but compute another function. */
  readonly stridePlacement: StridePlacement;
}

/**
 * The `modelSha256`, in hex: sha256 over the line `{"precision":…,"stridePlacement":…}`, then for each folded tensor in
 * the order of `foldedShapesOf` the line `{"name":…,"shape":[…]}` and its float32 numbers, little-endian, row-major.
 * Every line is compact JSON in UTF-8 and ends in one newline. It depends on no file format.
 */
export function digestWeights(weights: FoldedWeights, { precision, stridePlacement }: DigestContext): string {
  const hash = createHash("sha256").update(`${JSON.stringify({ precision, stridePlacement })}\n`);
  for (const { name, shape, data } of weights.values()) {
    hash.update(`${JSON.stringify({ name, shape })}\n`).update(bytesOf(data));
  }
  return hash.digest("hex");
}
