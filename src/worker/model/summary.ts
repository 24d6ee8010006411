import type { SpecModel } from "./catalog.js";
import { type ConvLayer, layersOf, type ResNetSpec } from "./spec.js";

/** One line of `models summary`. */
export interface SummaryLayer {
  readonly name: string;
  readonly kind: string;
  /** Without the batch; channels first, as in torchsummary. */
  readonly outputShape: readonly number[];
  /** Numbers in the source's layout: weights, biases where it has them, and batch norm's four per channel. */
  readonly sourceParams: number;
  /** Numbers once batch norm is folded in: weights and biases. */
  readonly foldedParams: number;
}

/** Sums over all layers. */
export interface SummaryTotals {
  readonly source: number;
  /** Those of `source` that training moves: without batch norm's means and variances. torchvision counts these. */
  readonly sourceTrainable: number;
  readonly folded: number;
  /** Size as int8, in bytes: a byte a weight of a convolution, an int32 bias and a scale a channel; `fc` in float32. */
  readonly int8Bytes: number;
}

export interface ModelSummary {
  readonly name: string;
  readonly title: string;
  readonly inputShape: readonly number[];
  readonly layers: readonly SummaryLayer[];
  readonly totals: SummaryTotals;
}

/** The layers and parameter counts of a model, computed from its spec. */
export function summarizeModel({ name, title, spec }: Pick<SpecModel, "name" | "title" | "spec">): ModelSummary {
  return {
    name,
    title,
    inputShape: [3, spec.inputSize, spec.inputSize],
    layers: summaryLayersOf(spec),
    totals: totalsOf(spec),
  };
}

/** The layers that hold parameters or change the shape, in the order in which they run. */
function summaryLayersOf(spec: ResNetSpec): SummaryLayer[] {
  const { convolutions, pooledSize, embeddingWidth } = layersOf(spec);
  const [stem, ...others] = convolutions.map((conv) => convLine(conv, spec.convBias));
  const fcParams = (embeddingWidth + 1) * spec.classes;
  return [
    ...(stem === undefined ? [] : [stem]),
    {
      name: "pool",
      kind: "MaxPool 3x3/2",
      outputShape: [spec.stemWidth, pooledSize, pooledSize],
      sourceParams: 0,
      foldedParams: 0,
    },
    ...others,
    { name: "average", kind: "GlobalAveragePool", outputShape: [embeddingWidth], sourceParams: 0, foldedParams: 0 },
    { name: "fc", kind: "Linear", outputShape: [spec.classes], sourceParams: fcParams, foldedParams: fcParams },
  ];
}

/** The sums of `summaryLayersOf`. */
export function totalsOf(spec: ResNetSpec): SummaryTotals {
  const layers = summaryLayersOf(spec);
  const source = layers.reduce((sum, layer) => sum + layer.sourceParams, 0);
  const folded = layers.reduce((sum, layer) => sum + layer.foldedParams, 0);
  const { convolutions, embeddingWidth } = layersOf(spec);
  const channels = convolutions.reduce((sum, conv) => sum + conv.outChannels, 0);
  const fc = (embeddingWidth + 1) * spec.classes;
  const int8Bytes = folded - fc - channels + 8 * channels + 4 * fc;
  return { source, sourceTrainable: source - 2 * channels, folded, int8Bytes };
}

function convLine(
  { name, inChannels, outChannels, kernel, stride, outputSize }: ConvLayer,
  hasBias: boolean,
): SummaryLayer {
  const weights = outChannels * inChannels * kernel * kernel;
  return {
    name,
    kind: `Conv ${kernel}x${kernel}/${stride} + BatchNorm`,
    outputShape: [outChannels, outputSize, outputSize],
    sourceParams: weights + outChannels * (hasBias ? 5 : 4),
    foldedParams: weights + outChannels,
  };
}
