/**
 * Makes of a user's ONNX file the graph that the `onnx` engine runs: our preprocessing in front, from uint8 NHWC images; the
 * user's nodes, unchanged but for the names of values that ours need; their logits and embedding as the outputs. What the user's
 * file puts out besides is left to ONNX Runtime to drop. Called at each load, on verified files.
 *
 * The added operators (Cast, Gather, Sub, Div, Transpose, Identity, Constant) mean the same in every opset that is read.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from "../onnx_pb.js";
import { dataType, int, ints, type OnnxModel, portInfo } from "../onnx-builder.js";
import { graphNames } from "../onnx-graph.js";
import type { Preprocess } from "../preprocess.js";
import { bindExternal } from "./external-data.js";
import type { OnnxFiles } from "./facts.js";
import { type Classifier, findClassifier, findImageInput, type ImageInput } from "./ports.js";
import { readOnnxGraph } from "./read-graph.js";

/** Ready for ONNX Runtime, with inputs and outputs of `graphNames`. */
export interface RunnableGraph extends OnnxModel, Pick<Classifier, "embeddingWidth" | "classes"> {
  readonly inputSize: number;
  /** Whether it takes one image at a time. */
  readonly batch: ImageInput["batch"];
}

/** Smaller tensors stay inside: shapes and axes among them, which ONNX Runtime reads while it infers shapes. */
const leastOutsideBytes = 1024;
const insideLocation = 0;
const outsideLocation = 1;
/** Value of AttributeProto.AttributeType. */
const tensorAttribute = 4;
const int64 = 7;

/** Throws an Error that says which node or tensor of the files cannot be used. */
export function makeRunnable(files: OnnxFiles, preprocess: Preprocess): RunnableGraph {
  const onnx = readOnnxGraph(files.onnx);
  const { model, graph } = onnx;
  const inputSize = preprocess.cropSize;
  const input = findImageInput(onnx, inputSize);
  const classifier = findClassifier(onnx);
  const { initializers, externalData } = placeConstants(graph, bindExternal(graph, files));
  graph.initializer = initializers;
  const names = createNames(graph);
  const renamed = new Map(Object.values(graphNames).map((name) => [name as string, names.fresh(name)]));
  renameValues(graph, renamed);
  const current = (name: string): string => renamed.get(name) ?? name;
  const { embeddingWidth, classes, embedding, logits } = classifier;
  graph.node = [
    ...preprocessingNodes({ ...input, name: current(input.name) }, preprocess, names.fresh),
    ...graph.node,
    node("Cast", [current(embedding)], graphNames.embedding, [int("to", dataType.float)]),
    node("Cast", [current(logits)], graphNames.logits, [int("to", dataType.float)]),
  ];
  const batch = input.batch === "one" ? 1 : "N";
  const float = dataType.float;
  graph.input = [
    portInfo({ name: graphNames.images, elemType: dataType.uint8, sizes: [inputSize, inputSize, 3] }, batch),
  ];
  graph.output = [
    portInfo({ name: graphNames.embedding, elemType: float, sizes: [embeddingWidth] }, batch),
    portInfo({ name: graphNames.logits, elemType: float, sizes: [classes] }, batch),
  ];
  // Notes on values, under the names that these had.
  graph.valueInfo = [];
  delete graph.$unknown;
  return {
    graph: toBinary(ModelProtoSchema, model),
    externalData,
    embeddingWidth,
    classes,
    inputSize,
    batch: input.batch,
  };
}

/** Large constants go beside the graph, handed over in memory, wherever they were; small ones inside. */
function placeConstants(
  { initializer }: GraphProto,
  external: ReadonlyMap<TensorProto, Uint8Array>,
): { initializers: TensorProto[]; externalData: { path: string; data: Uint8Array }[] } {
  const externalData: { path: string; data: Uint8Array }[] = [];
  const initializers = initializer.map((tensor, index) => {
    const data = external.get(tensor) ?? tensor.rawData;
    if (data === undefined) return tensor;
    const { name, dims, dataType } = tensor;
    if (data.byteLength < leastOutsideBytes)
      return create(TensorProtoSchema, { name, dims, dataType, rawData: data, dataLocation: insideLocation });
    // Not the file's own path: ONNX Runtime is to open nothing.
    const path = `constant-${index}`;
    externalData.push({ path, data: aligned(data) });
    const place = [{ key: "location", value: path }];
    return create(TensorProtoSchema, { name, dims, dataType, externalData: place, dataLocation: outsideLocation });
  });
  return { initializers, externalData };
}

/** Bytes inside a protobuf message begin anywhere; kernels want numbers at multiples of their size. */
function aligned(data: Uint8Array): Uint8Array {
  return data.byteOffset % 8 === 0 ? data : Uint8Array.from(data);
}

/** Gives names that no value of the graph has. */
function createNames({ node, initializer, input }: GraphProto) {
  const taken = new Set([
    ...node.flatMap((each) => [...each.input, ...each.output]),
    ...[...initializer, ...input].map(({ name }) => name),
  ]);
  const fresh = (wanted: string): string => {
    let name = wanted;
    for (let count = 1; taken.has(name); count += 1) name = `${wanted}.${count}`;
    taken.add(name);
    return name;
  };
  return { fresh };
}

function renameValues(graph: GraphProto, renamed: ReadonlyMap<string, string>): void {
  const rename = (name: string): string => renamed.get(name) ?? name;
  for (const each of graph.node) {
    each.input = each.input.map(rename);
    each.output = each.output.map(rename);
  }
  for (const tensor of graph.initializer) tensor.name = rename(tensor.name);
}

/** From `graphNames.images` to the user's input. */
function preprocessingNodes(
  { name, layout, type }: ImageInput,
  { channelOrder, mean, std }: Preprocess,
  fresh: (name: string) => string,
): NodeProto[] {
  const nodes: NodeProto[] = [];
  let value: string = graphNames.images;
  const add = (opType: string, others: readonly string[], attributes: readonly AttributeProto[] = []): void => {
    const output = fresh(`images.${opType}`);
    nodes.push(node(opType, [value, ...others], output, attributes));
    value = output;
  };
  const constant = (tensor: TensorProto): string => {
    const output = fresh(tensor.name);
    nodes.push(node("Constant", [], output, [tensorOf(tensor)]));
    return output;
  };
  if (channelOrder === "BGR") add("Gather", [constant(reversedChannels)], [int("axis", 3)]);
  if (type === "float32") {
    add("Cast", [], [int("to", dataType.float)]);
    add("Sub", [constant(threeFloats("mean", mean))]);
    add("Div", [constant(threeFloats("std", std))]);
  }
  if (layout === "NCHW") add("Transpose", [], [ints("perm", [0, 3, 1, 2])]);
  nodes.push(node("Identity", [value], name));
  return nodes;
}

/** Without a name: ONNX Runtime refuses two nodes of one name, and takes any number without. */
function node(
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly AttributeProto[] = [],
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input: [...input],
    output: [output],
    attribute: [...attribute],
  });
}

const reversedChannels = create(TensorProtoSchema, {
  name: "channels",
  dims: [3n],
  dataType: int64,
  rawData: new Uint8Array(BigInt64Array.of(2n, 1n, 0n).buffer),
});

function threeFloats(name: string, numbers: Preprocess["mean"]): TensorProto {
  const rawData = new Uint8Array(Float32Array.from(numbers).buffer);
  return create(TensorProtoSchema, { name, dims: [3n], dataType: dataType.float, rawData });
}

function tensorOf(tensor: TensorProto): AttributeProto {
  return create(AttributeProtoSchema, { name: "value", type: tensorAttribute, t: tensor });
}
