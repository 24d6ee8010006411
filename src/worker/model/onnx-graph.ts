/**
 * Builds the float32 ONNX model of a ResNet, in memory, from its spec, folded weights and preprocessing. Batch norm is
 * already in the weights; the channel order and the scale of the preprocessing go into the stem's weights, the mean is
 * subtracted in the graph, since the zeros of padding stand for the mean. The `onnx` engine is its only caller.
 */
import { composeResNet } from "./compose.js";
import { adaptStem, type GraphParts, rgbMean } from "./graph-parts.js";
import {
  createGraphBuilder,
  dataType,
  type GraphBuilder,
  type GraphPort,
  int,
  ints,
  type OnnxModel,
  square,
} from "./onnx-builder.js";
import type { Preprocess } from "./preprocess.js";
import { type ConvLayer, layersOf, type ResNetSpec } from "./spec.js";

/** Names of the graph's input, `[N, size, size, 3]` uint8 RGB, and outputs, `[N, width]` and `[N, classes]` float32. */
export const graphNames = { images: "images", embedding: "embedding", logits: "logits" } as const;

/** The max pool after the stem. */
export const stemPool = { kernel: 3, stride: 2, padding: 1 } as const;

/** A ResNet as ONNX; the number of images, N, is free. */
export interface ResNetModel extends OnnxModel {
  /** Width of the output `embedding`. */
  readonly embeddingWidth: number;
}

/** The float32 model. */
export function buildOnnxModel(parts: GraphParts): ResNetModel {
  const graph = createGraphBuilder();
  addHead(graph, addFloatNetwork(graph, parts));
  const { embeddingWidth } = layersOf(parts.spec);
  return { ...graph.build(imagesOf(parts.spec), outputsOf(parts.spec, embeddingWidth)), embeddingWidth };
}

/** The graph's input. */
export function imagesOf({ inputSize }: ResNetSpec): GraphPort {
  return { name: graphNames.images, elemType: dataType.uint8, sizes: [inputSize, inputSize, 3] };
}

/** The graph's outputs. */
export function outputsOf({ classes }: ResNetSpec, embeddingWidth: number): GraphPort[] {
  return [
    { name: graphNames.embedding, elemType: dataType.float, sizes: [embeddingWidth] },
    { name: graphNames.logits, elemType: dataType.float, sizes: [classes] },
  ];
}

/**
 * From the images to the end of the last block, whose value's name it returns; adds all weights, `fc` included. `onValue`
 * is told which name in the graph each value of `valueNamesOf` has.
 */
export function addFloatNetwork(
  graph: GraphBuilder,
  { spec, preprocess, weights }: GraphParts,
  onValue: (name: string, value: string) => void = () => {},
): string {
  for (const tensor of weights.values()) {
    graph.constant(tensor.name === "stem.weight" ? adaptStem(tensor, preprocess) : tensor);
  }
  const noted = (name: string, value: string): string => {
    onValue(name, value);
    return value;
  };
  const conv = (layer: ConvLayer, input: string) =>
    graph.node("Conv", [input, `${layer.name}.weight`, `${layer.name}.bias`], layer.name, square(layer));
  const relu = (input: string) => graph.node("Relu", [input], `${input}.relu`);
  return composeResNet<string>(spec, {
    stem: (layer) => noted(layer.name, relu(conv(layer, addInput(graph, preprocess)))),
    maxPool: (value) => graph.node("MaxPool", [value], "pool", square(stemPool)),
    conv: (layer, value) => noted(layer.name, conv(layer, value)),
    convRelu: (layer, value) => noted(layer.name, relu(conv(layer, value))),
    addRelu: (name, branch, shortcut) => noted(name, relu(graph.node("Add", [branch, shortcut], name))),
  });
}

/**
 * From the last block's float32 value to `logits` and the embedding, whose name it returns; `fc.weight` and `fc.bias` must
 * be there.
 */
export function addHead(graph: GraphBuilder, last: string, embeddingName: string = graphNames.embedding): string {
  const average = graph.node("GlobalAveragePool", [last], "average");
  const embedding = graph.node("Flatten", [average], embeddingName, [int("axis", 1)]);
  graph.node("Gemm", [embedding, "fc.weight", "fc.bias"], graphNames.logits, [int("transB", 1)]);
  return embedding;
}

/** From uint8 NHWC to float32 NCHW, mean subtracted. */
function addInput(graph: GraphBuilder, preprocess: Preprocess): string {
  const mean = { name: "mean", shape: [3], data: Float32Array.from(rgbMean(preprocess)) };
  const float = graph.node("Cast", [graphNames.images], "float", [int("to", dataType.float)]);
  const centred = graph.node("Sub", [float, graph.constant(mean)], "centred");
  return graph.node("Transpose", [centred], "channels-first", [ints("perm", [0, 3, 1, 2])]);
}
