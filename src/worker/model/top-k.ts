import { LabelmillError } from "../../shared/errors.js";

/** The best classes of one image. */
export interface TopK {
  /** Best first; equal logits by index. */
  readonly indices: readonly number[];
  /** Softmax probabilities over all classes, same order. */
  readonly scores: readonly number[];
}

/**
 * The `k` largest probabilities of one row of logits (all of them where there are fewer classes). Throws ENGINE_FAILED
 * where a logit is not finite: for pixels of 0 to 255 that is the engine's fault, and no label can be had from it.
 */
export function topK(logits: Float32Array, k: number): TopK {
  const bad = logits.findIndex((logit) => !Number.isFinite(logit));
  if (bad >= 0)
    throw new LabelmillError("ENGINE_FAILED", {
      reason: `logit ${bad} is ${String(logits[bad])}, expected a finite number`,
    });
  const indices = largest(logits, k);
  // Shifted by the largest, so that no exponential overflows; summed in float64.
  const max = logits[indices[0] ?? 0] ?? 0;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return { indices, scores: indices.map((index) => Math.exp((logits[index] as number) - max) / sum) };
}

/**
 * Insertion into a short sorted list: one pass, and only a logit that is strictly larger moves ahead of an earlier one.
 */
function largest(logits: Float32Array, k: number): number[] {
  const indices: number[] = [];
  for (const [index, logit] of logits.entries()) {
    if (indices.length >= k && logit <= (logits[indices.at(-1) as number] as number)) continue;
    let place = indices.length;
    while (place > 0 && logit > (logits[indices[place - 1] as number] as number)) place -= 1;
    indices.splice(place, 0, index);
    if (indices.length > k) indices.pop();
  }
  return indices;
}
