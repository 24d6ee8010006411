/**
 * Batch norm folded into the convolution before it: `gamma * (w*x + b - mean) / sqrt(variance + epsilon) + beta` is
 * again a convolution (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, inference form). Computed in float64
 * and rounded once, with operations that IEEE 754 fixes exactly, so the digest is the same on every machine.
 */
import { type ConvLayer, foldedShapesOf, layersOf, type ResNetSpec } from "../spec.js";
import { type FoldedWeights, matchTensors, type Tensor } from "./tensor.js";

/** A convolution and its batch norm as a weight file holds them; every array but `kernel` is `[out]`. */
export interface SourceConv {
  /** `[out, in, k, k]`. */
  readonly kernel: Float32Array;
  /** Null where the layout has none. */
  readonly bias: Float32Array | null;
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** A whole source, in no format any more: what importers give. */
export interface SourceWeights {
  /** By the name of the layer in the spec. */
  readonly convs: ReadonlyMap<string, SourceConv>;
  /** `[classes, embeddingWidth]`. */
  readonly fcWeight: Float32Array;
  readonly fcBias: Float32Array;
}

/**
 * Folds the batch norm of every convolution of `spec`. Throws an Error that names the first tensor that is not finite.
 */
export function foldWeights(spec: ResNetSpec, source: SourceWeights): FoldedWeights {
  const { convolutions, embeddingWidth } = layersOf(spec);
  const tensors: Tensor[] = [];
  for (const layer of convolutions) {
    const conv = source.convs.get(layer.name);
    if (conv === undefined) throw new Error(`layer ${layer.name} is missing`);
    tensors.push(...foldConv(layer, conv, spec.batchNormEpsilon));
  }
  tensors.push({ name: "fc.weight", shape: [spec.classes, embeddingWidth], data: source.fcWeight });
  tensors.push({ name: "fc.bias", shape: [spec.classes], data: source.fcBias });
  for (const { name, data } of tensors) {
    if (!data.every(Number.isFinite)) throw new Error(`tensor ${name} holds a number that is not finite`);
  }
  return matchTensors(foldedShapesOf(spec), tensors);
}

function foldConv(layer: ConvLayer, conv: SourceConv, epsilon: number): Tensor[] {
  const { inChannels, outChannels, kernel } = layer;
  const perChannel = inChannels * kernel * kernel;
  const weight = new Float32Array(outChannels * perChannel);
  const bias = new Float32Array(outChannels);
  for (let out = 0; out < outChannels; out += 1) {
    const scale = at(conv.gamma, out) / Math.sqrt(at(conv.variance, out) + epsilon);
    const convBias = conv.bias === null ? 0 : at(conv.bias, out);
    bias[out] = (convBias - at(conv.mean, out)) * scale + at(conv.beta, out);
    for (let index = out * perChannel; index < (out + 1) * perChannel; index += 1) {
      weight[index] = at(conv.kernel, index) * scale;
    }
  }
  return [
    { name: `${layer.name}.weight`, shape: [outChannels, inChannels, kernel, kernel], data: weight },
    { name: `${layer.name}.bias`, shape: [outChannels], data: bias },
  ];
}

/** The number there; NaN past the end, so that a short array shows as not finite. */
function at(data: Float32Array, index: number): number {
  return data[index] ?? Number.NaN;
}
