import type { Precision } from "../../shared/precision.js";
import { cosine } from "./cosine.js";

/** What an engine said of one image. */
export interface ImageOutput {
  /** Globally average-pooled features. */
  readonly embedding: Float32Array;
  /** One a class, before softmax. */
  readonly logits: Float32Array;
}

/** How far two engines say the same of the same images. */
export interface Agreement {
  readonly images: number;
  /** Images whose largest logit is that of the same class. */
  readonly sameTop1: number;
  /** Of the embeddings; 1 where all point the same way. */
  readonly meanCosine: number;
  readonly minCosine: number;
  /** Over all images and classes. */
  readonly maxLogitDifference: number;
}

/** How far an engine may be from the first, float32 one, and still stand for it. */
export interface AgreementLimits {
  readonly meanCosine: number;
  readonly minCosine: number;
  readonly top1Share: number;
}

/**
 * In fp32, engines differ by the order of float32 sums only: 1 - 2e-12 was measured between ONNX Runtime and WebAssembly on
 * 20 photos. Eight bits round every value: 0.998 on average and 0.995 at least on 100 photos, where the best class of two
 * differed.
 */
export const agreementLimits = {
  fp32: { meanCosine: 0.9999, minCosine: 0.9999, top1Share: 0.99 },
  int8: { meanCosine: 0.99, minCosine: 0.95, top1Share: 0.9 },
} as const satisfies Readonly<Record<string, AgreementLimits>>;

/** The limits of that precision. */
export function limitsOf(precision: Precision): AgreementLimits {
  return agreementLimits[precision === "fp32" ? "fp32" : "int8"];
}

/**
 * Compares the outputs of two engines for the same images, in the same order; null stands for an image that cannot be
 * decoded, and is left out. There must be one that can.
 */
export function compareOutputs(
  reference: readonly (ImageOutput | null)[],
  other: readonly (ImageOutput | null)[],
): Agreement {
  if (reference.length !== other.length) throw new Error(`Expected ${reference.length} outputs, got ${other.length}`);
  const pairs = reference.flatMap((expected, image) => {
    const found = other[image] ?? null;
    return expected === null || found === null ? [] : [{ expected, found }];
  });
  const cosines = pairs.map(({ expected, found }) => cosine(expected.embedding, found.embedding));
  const differences = pairs.map(({ expected, found }) => largestDifference(expected.logits, found.logits));
  return {
    images: pairs.length,
    sameTop1: pairs.filter(({ expected, found }) => indexOfLargest(expected.logits) === indexOfLargest(found.logits))
      .length,
    meanCosine: cosines.reduce((sum, each) => sum + each, 0) / pairs.length,
    minCosine: Math.min(...cosines),
    maxLogitDifference: Math.max(...differences),
  };
}

/** Whether they differ by no more than that. */
export function isWithinLimits(
  { images, sameTop1, meanCosine, minCosine }: Agreement,
  limits: AgreementLimits,
): boolean {
  const isSameClass = sameTop1 >= limits.top1Share * images;
  return isSameClass && meanCosine >= limits.meanCosine && minCosine >= limits.minCosine;
}

/** The first of the largest. */
function indexOfLargest(values: Float32Array): number {
  return values.indexOf(values.reduce((largest, value) => Math.max(largest, value), Number.NEGATIVE_INFINITY));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - (b[index] as number))), 0);
}
