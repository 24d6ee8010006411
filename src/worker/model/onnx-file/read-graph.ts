/**
 * Parses the bytes of an .onnx file into a graph that is safe to look at and to hand to ONNX Runtime: operators of the
 * standard alone, no graphs inside graphs, no tensor that claims more than it brings. It does not know what the graph computes.
 * Called at the import and, on the same bytes, at each load.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { messageOf } from "../../../shared/errors.js";
import { type GraphProto, type ModelProto, ModelProtoSchema, type NodeProto } from "../onnx_pb.js";
import { structureBytes } from "./structure-size.js";
import { checkInnerSize, isExternal } from "./tensor-size.js";

/** A ModelProto with its graph. */
export interface OnnxGraph {
  readonly model: ModelProto;
  readonly graph: GraphProto;
  /** Version of the operators. */
  readonly opset: number;
}

/**
 * 7 is the first in which ONNX Runtime has Sub and Div, which preprocessing is made of; 26 the last that onnxruntime-node 1.30.0
 * takes. Both found by loading a small graph in each opset.
 */
const opsets = { first: 7, last: 26 } as const;
/** A ResNet-50 of PyTorch's Dynamo exporter has 0.2 MB; empty nodes take 80 times their bytes as objects. */
const maxStructureBytes = 2 ** 24;
/** The same name twice: both are written for the operators of the standard. */
const standardDomains: readonly string[] = ["", "ai.onnx"];

const ofChance = "draws random numbers; export it in evaluation mode";
/** With these an image's row would hang on more than the image. */
const refusedOperators: ReadonlyMap<string, string> = new Map([
  [
    "DynamicQuantizeLinear",
    "lets an image's numbers hang on the others of its batch, whose range it takes; quantize it statically",
  ],
  ["Bernoulli", ofChance],
  ["Multinomial", ofChance],
  ["RandomNormal", ofChance],
  ["RandomNormalLike", ofChance],
  ["RandomUniform", ofChance],
  ["RandomUniformLike", ofChance],
]);

/** Throws an Error that says what is wrong, naming the node or tensor. The tensors' data are views of `bytes`. */
export function readOnnxGraph(bytes: Uint8Array): OnnxGraph {
  const model = parse(bytes);
  const { graph, functions } = model;
  if (graph === undefined || graph.node.length === 0) throw new Error("it holds no graph, expected an ONNX model");
  if (functions.length > 0) throw new Error("it has functions of its own; export it with them inlined");
  if (graph.sparseInitializer.length > 0) throw new Error("it has sparse tensors; export it with dense ones");
  const opset = opsetOf(model);
  for (const node of graph.node) checkNode(node);
  const names = new Set<string>();
  for (const tensor of graph.initializer) {
    if (names.has(tensor.name)) throw new Error(`tensor ${tensor.name} is there twice`);
    names.add(tensor.name);
    if (!isExternal(tensor)) checkInnerSize(tensor);
  }
  return { model, graph, opset };
}

/** How an error is to name a node. */
export function describeNode({ name, opType, output }: NodeProto): string {
  return `node ${name || output[0] || "without a name"} (${opType})`;
}

function parse(bytes: Uint8Array): ModelProto {
  const structure = asOnnx(() => structureBytes(bytes));
  if (structure > maxStructureBytes)
    throw new Error(`it has ${structure} bytes besides its initializers, expected ${maxStructureBytes} at most`);
  return asOnnx(() => fromBinary(ModelProtoSchema, bytes));
}

function asOnnx<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`it is truncated or not an ONNX model: ${messageOf(error)}`, { cause: error });
  }
}

function opsetOf({ opsetImport }: ModelProto): number {
  const standard = opsetImport.find(({ domain }) => standardDomains.includes(domain));
  const expected = `expected ${opsets.first} to ${opsets.last}`;
  if (standard === undefined) throw new Error(`it names no version of the standard operators (opset), ${expected}`);
  const opset = Number(standard.version);
  if (opset >= opsets.first && opset <= opsets.last) return opset;
  throw new Error(`it is of opset ${opset}, ${expected}; export it with another opset_version`);
}

function checkNode(node: NodeProto): void {
  if (!standardDomains.includes(node.domain)) {
    const found = `${describeNode(node)} is an operator of domain ${node.domain}`;
    throw new Error(`${found}, expected those of the ONNX standard alone`);
  }
  const refusal = refusedOperators.get(node.opType);
  if (refusal !== undefined) throw new Error(`${describeNode(node)} ${refusal}`);
  for (const { name, g, graphs, t, tensors } of node.attribute) {
    if (g.length > 0 || graphs.length > 0)
      throw new Error(`${describeNode(node)} has a graph of its own in ${name}; export it without control flow`);
    for (const tensor of t === undefined ? tensors : [t, ...tensors]) {
      if (isExternal(tensor)) throw new Error(`${describeNode(node)} has external data in ${name}, expected it inside`);
      checkInnerSize(tensor);
    }
  }
}
