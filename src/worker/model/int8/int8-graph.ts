/**
 * Builds the int8 ONNX model of a ResNet: the network of `compose` with QuantizeLinear and DequantizeLinear around its
 * steps (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#onnx-quantization-representation-format),
 * which ONNX Runtime fuses into integer kernels. Not the arithmetic of scales: that is `quantize`. The `onnx` engine is its
 * only caller.
 *
 * What is not 8 bits wide, and why:
 * - The images are: they are uint8 already. Zero padding stands for the mean, which is another number for each channel, so
 *   each plane is padded with its rounded mean (at most half a grey level off, at the border alone), and the exact mean
 *   goes into the bias.
 * - The sum of the last block stays float32, with the average and the fully connected layer behind it: 0.1 % of the
 *   multiplications, and the embedding is spared one rounding.
 * A ReLU is nothing but a range that begins at 0.
 */
import { composeResNet, valueNamesOf } from "../compose.js";
import { adaptStem, type GraphParts, rgbMean } from "../graph-parts.js";
import { createGraphBuilder, type GraphBuilder, int, ints, square } from "../onnx-builder.js";
import { addHead, graphNames, imagesOf, outputsOf, type ResNetModel, stemPool } from "../onnx-graph.js";
import type { Preprocess } from "../preprocess.js";
import { type ConvLayer, layersOf } from "../spec.js";
import type { FoldedWeights, Tensor } from "../weights/tensor.js";
import {
  positiveScaleOf,
  type QuantizedWeight,
  quantizeBias,
  quantizeWeight,
  type Range,
  type UnsignedScale,
  unsignedScaleOf,
} from "./quantize.js";

/** What an int8 graph is built from. */
export interface Int8Parts extends GraphParts {
  /** One for each name of `valueNamesOf(spec)`. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Weights are integers from -weightLimit to weightLimit. */
  readonly weightLimit: number;
}

/** A value of the network: its integers, and the reals that stand for them in the graph. */
interface Value extends UnsignedScale {
  readonly integers: string;
  readonly reals: string;
}

/** The int8 model; inputs and outputs are those of the float32 one. */
export function buildInt8Model(parts: Int8Parts): ResNetModel {
  const { spec, weights, ranges } = parts;
  const graph = createGraphBuilder();
  const rangeOf = (name: string) => ranges.get(name) as Range;
  const lastName = valueNamesOf(spec).at(-1);
  const last = composeResNet<Value>(spec, {
    stem: (layer) => quantized(graph, layer.name, addStem(graph, layer, parts), positiveScaleOf(rangeOf(layer.name))),
    maxPool: (value) => {
      const integers = graph.node("MaxPool", [value.integers], "pool.integers", square(stemPool));
      return dequantized(graph, "pool", integers, value);
    },
    conv: (layer, value) =>
      quantized(graph, layer.name, addConv(graph, layer, value, parts), unsignedScaleOf(rangeOf(layer.name))),
    convRelu: (layer, value) =>
      quantized(graph, layer.name, addConv(graph, layer, value, parts), positiveScaleOf(rangeOf(layer.name))),
    addRelu: (name, branch, shortcut) => {
      const sum = graph.node("Add", [branch.reals, shortcut.reals], `${name}.reals`);
      if (name !== lastName) return quantized(graph, name, sum, positiveScaleOf(rangeOf(name)));
      return { ...branch, reals: graph.node("Relu", [sum], name) };
    },
  });
  graph.constant(tensorOf(weights, "fc.weight"));
  graph.constant(tensorOf(weights, "fc.bias"));
  addHead(graph, last.reals);
  const { embeddingWidth } = layersOf(spec);
  return { ...graph.build(imagesOf(spec), outputsOf(spec, embeddingWidth)), embeddingWidth };
}

function quantized(graph: GraphBuilder, name: string, reals: string, how: UnsignedScale): Value {
  const inputs = [reals, ...scaleConstants(graph, name, how)];
  return dequantized(graph, name, graph.node("QuantizeLinear", inputs, `${name}.integers`), how);
}

function dequantized(graph: GraphBuilder, name: string, integers: string, { scale, zeroPoint }: UnsignedScale): Value {
  const inputs = [integers, ...scaleConstants(graph, name, { scale, zeroPoint })];
  return { integers, reals: graph.node("DequantizeLinear", inputs, name), scale, zeroPoint };
}

function scaleConstants(graph: GraphBuilder, name: string, { scale, zeroPoint }: UnsignedScale): string[] {
  return [
    graph.constant({ name: `${name}.scale`, shape: [], data: Float32Array.of(scale) }),
    graph.constant({ name: `${name}.zero`, shape: [], data: Uint8Array.of(zeroPoint) }),
  ];
}

function addConv(graph: GraphBuilder, layer: ConvLayer, input: Value, { weights, weightLimit }: Int8Parts): string {
  const weight = quantizeWeight(tensorOf(weights, `${layer.name}.weight`), weightLimit);
  return convOf(graph, layer, input, { weight, bias: tensorOf(weights, `${layer.name}.bias`).data });
}

function addStem(graph: GraphBuilder, layer: ConvLayer, { weights, weightLimit, preprocess }: Int8Parts): string {
  const images = addPaddedImages(graph, layer.padding, rgbMean(preprocess));
  const weight = quantizeWeight(adaptStem(tensorOf(weights, `${layer.name}.weight`), preprocess), weightLimit);
  const bias = subtractMean(tensorOf(weights, `${layer.name}.bias`).data, weight, preprocess);
  return convOf(graph, { ...layer, padding: 0 }, images, { weight, bias });
}

/** A convolution of integers, as reals. */
function convOf(
  graph: GraphBuilder,
  layer: ConvLayer,
  input: Value,
  { weight, bias }: { readonly weight: QuantizedWeight; readonly bias: Float32Array },
): string {
  const { name, outChannels, inChannels, kernel } = layer;
  const reals = (constant: string, shape: number[], data: Int8Array | Int32Array, scales: Float32Array) => {
    const zeros = data instanceof Int8Array ? new Int8Array(outChannels) : new Int32Array(outChannels);
    const inputs = [
      graph.constant({ name: `${constant}.integers`, shape, data }),
      graph.constant({ name: `${constant}.scales`, shape: [outChannels], data: scales }),
      graph.constant({ name: `${constant}.zeros`, shape: [outChannels], data: zeros }),
    ];
    return graph.node("DequantizeLinear", inputs, constant, [int("axis", 0)]);
  };
  const biases = quantizeBias(bias, input.scale, weight.scales);
  const inputs = [
    input.reals,
    reals(`${name}.weight`, [outChannels, inChannels, kernel, kernel], weight.data, weight.scales),
    reals(`${name}.bias`, [outChannels], biases.data, biases.scales),
  ];
  return graph.node("Conv", inputs, `${name}.reals`, square(layer));
}

/** From uint8 NHWC to uint8 NCHW, padded; one unit is one grey level. */
function addPaddedImages(graph: GraphBuilder, padding: number, mean: readonly number[]): Value {
  const planar = graph.node("Transpose", [graphNames.images], "planar", [ints("perm", [0, 3, 1, 2])]);
  const planes = ["red", "green", "blue"];
  graph.nodes("Split", [planar], planes, [int("axis", 1)]);
  // A node, since the runtime must know the pads while it loads, and reads no external data then.
  const sides = [0, 0, padding, padding];
  const pads = graph.node("Constant", [], "pads", [ints("value_ints", [...sides, ...sides])]);
  const padded = planes.map((plane, channel) => {
    const filling = Uint8Array.of(Math.round(mean[channel] as number));
    return graph.node(
      "Pad",
      [plane, pads, graph.constant({ name: `${plane}.mean`, shape: [], data: filling })],
      `${plane}.padded`,
    );
  });
  const joined = graph.node("Concat", padded, "padded", [int("axis", 1)]);
  return dequantized(graph, "greys", joined, { scale: 1, zeroPoint: 0 });
}

/** What the bias is when the mean has not been subtracted from the input: the weights, as quantised, times the mean less. */
function subtractMean(bias: Float32Array, { data, scales }: QuantizedWeight, preprocess: Preprocess): Float32Array {
  const mean = rgbMean(preprocess);
  const perOut = data.length / bias.length;
  const area = perOut / mean.length;
  return bias.map((value, out) => {
    let sum = 0;
    for (let i = 0; i < perOut; i += 1) {
      sum += (data[out * perOut + i] as number) * (mean[Math.floor(i / area)] as number);
    }
    return value - sum * (scales[out] as number);
  });
}

function tensorOf(weights: FoldedWeights, name: string): Tensor {
  return weights.get(name) as Tensor;
}
