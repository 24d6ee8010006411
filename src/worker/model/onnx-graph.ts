/**
 * Builds the ONNX model of a ResNet, in memory, from its spec, folded weights and preprocessing. Batch norm is already
 * in the weights; the channel order and the scale of the preprocessing go into the stem's weights, the mean is
 * subtracted in the graph, since the zeros of padding stand for the mean. The `onnx` engine is its only caller.
 *
 * The weights stay outside the graph, as external data that is handed over in memory, not copied: a process that opens
 * ResNet-50 and runs batches of 8 peaks at 495 MB, against 650 MB with the weights inside the graph.
 *
 * Operators are those of opset 13 (https://onnx.ai/onnx/operators/), which every ONNX Runtime since 1.8 runs.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { adaptStem, type GraphParts, rgbMean } from "./graph-parts.js";
import {
  type AttributeProto,
  AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import type { Preprocess } from "./preprocess.js";
import { type Block, type ConvLayer, layersOf } from "./spec.js";
import { bytesOf, type Tensor } from "./weights/tensor.js";

const opset = 13n;
/** Version of the file format that belongs to opset 13. */
const irVersion = 7n;
/** Values of ONNX's TensorProto.DataType, TensorProto.DataLocation and AttributeProto.AttributeType. */
const dataType = { float: 1, uint8: 2 } as const;
const externalLocation = 1;
const attributeType = { int: 2, ints: 7 } as const;

/** Names of the graph's input, `[N, size, size, 3]` uint8 RGB, and outputs, `[N, width]` and `[N, classes]` float32. */
export const graphNames = { images: "images", embedding: "embedding", logits: "logits" } as const;

/** A model whose weights are beside it. */
export interface OnnxModel {
  /** Serialised ModelProto. */
  readonly graph: Uint8Array;
  /** The weights by their location in the graph; views of those that were given, except for the stem's. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** The model as ONNX; N, the number of images, is free. */
export function buildOnnxModel({ spec, preprocess, weights }: GraphParts): OnnxModel {
  const graph = new GraphBuilder();
  const { stem, blocks, embeddingWidth } = layersOf(spec);
  for (const tensor of weights.values()) {
    graph.constant(tensor.name === "stem.weight" ? adaptStem(tensor, preprocess) : tensor);
  }
  let value = addInput(graph, preprocess);
  value = graph.relu(graph.conv(stem, value));
  value = graph.node("MaxPool", [value], "pool", square({ kernel: 3, stride: 2, padding: 1 }));
  for (const block of blocks) value = addBlock(graph, block, value);
  value = graph.node("GlobalAveragePool", [value], "average");
  const embedding = graph.node("Flatten", [value], graphNames.embedding, [int("axis", 1)]);
  graph.node("Gemm", [embedding, "fc.weight", "fc.bias"], graphNames.logits, [int("transB", 1)]);

  const { inputSize, classes } = spec;
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: "labelmill",
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "resnet",
      node: graph.nodes,
      initializer: graph.constants.map(initializerOf),
      input: [tensorInfo(graphNames.images, dataType.uint8, [inputSize, inputSize, 3])],
      output: [
        tensorInfo(graphNames.embedding, dataType.float, [embeddingWidth]),
        tensorInfo(graphNames.logits, dataType.float, [classes]),
      ],
    },
  });
  const externalData = graph.constants.map(({ name, data }) => ({ path: name, data: bytesOf(data) }));
  return { graph: toBinary(ModelProtoSchema, model), externalData };
}

/** Nodes and constants in the order in which they are added; a node's output bears the node's name. */
class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly constants: Tensor[] = [];

  node(opType: string, input: string[], name: string, attribute: AttributeProto[] = []): string {
    this.nodes.push(create(NodeProtoSchema, { opType, name, input, output: [name], attribute }));
    return name;
  }

  constant(tensor: Tensor): string {
    this.constants.push(tensor);
    return tensor.name;
  }

  conv(layer: ConvLayer, input: string): string {
    const { name } = layer;
    return this.node("Conv", [input, `${name}.weight`, `${name}.bias`], name, square(layer));
  }

  relu(input: string): string {
    return this.node("Relu", [input], `${input}.relu`);
  }
}

/** From uint8 NHWC to float32 NCHW, mean subtracted. */
function addInput(graph: GraphBuilder, preprocess: Preprocess): string {
  const mean = { name: "mean", shape: [3], data: Float32Array.from(rgbMean(preprocess)) };
  const float = graph.node("Cast", [graphNames.images], "float", [int("to", dataType.float)]);
  const centred = graph.node("Sub", [float, graph.constant(mean)], "centred");
  return graph.node("Transpose", [centred], "channels-first", [ints("perm", [0, 3, 1, 2])]);
}

function addBlock(graph: GraphBuilder, { name, reduce, spatial, expand, project }: Block, input: string): string {
  const reduced = graph.relu(graph.conv(reduce, input));
  const expanded = graph.conv(expand, graph.relu(graph.conv(spatial, reduced)));
  const shortcut = project === null ? input : graph.conv(project, input);
  return graph.relu(graph.node("Add", [expanded, shortcut], `${name}.sum`));
}

function initializerOf({ name, shape }: Tensor): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: shape.map(BigInt),
    dataType: dataType.float,
    dataLocation: externalLocation,
    externalData: [{ key: "location", value: name }],
  });
}

function square({ kernel, stride, padding }: Pick<ConvLayer, "kernel" | "stride" | "padding">): AttributeProto[] {
  return [
    ints("kernel_shape", [kernel, kernel]),
    ints("strides", [stride, stride]),
    ints("pads", [padding, padding, padding, padding]),
  ];
}

function int(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: attributeType.int, i: BigInt(value) });
}

function ints(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, type: attributeType.ints, ints: values.map(BigInt) });
}

function tensorInfo(name: string, elemType: number, sizes: readonly number[]): ValueInfoProto {
  const dim = [
    { value: { case: "dimParam" as const, value: "N" } },
    ...sizes.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } })),
  ];
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
  });
}
