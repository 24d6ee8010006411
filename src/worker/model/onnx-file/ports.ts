/**
 * Where an image classifier that somebody else exported takes images, and where its logits and embeddings are. Found from the
 * end of the graph: the last linear layer gives the logits, its input is the embedding. It reads shapes, never weights; that the
 * values really have these shapes is shown by running the model once, before it is kept.
 */
import type { NodeProto, TypeProto_Tensor, ValueInfoProto } from "../onnx_pb.js";
import { createShapes } from "./constant-shapes.js";
import { describeNode, type OnnxGraph } from "./read-graph.js";

/** The one input of the graph that is not a constant. */
export interface ImageInput {
  readonly name: string;
  readonly layout: "NCHW" | "NHWC";
  /** A model of uint8 has its preprocessing inside. */
  readonly type: "float32" | "uint8";
  /** Whether it takes one image at a time, or as many as there are. */
  readonly batch: "one" | "free";
}

/** The classifier at the graph's end. */
export interface Classifier {
  /** Names of values in the graph: `[N, classes]` before softmax, and `[N, embeddingWidth]`. */
  readonly logits: string;
  readonly embedding: string;
  readonly classes: number;
  readonly embeddingWidth: number;
}

/** Values of TensorProto.DataType. */
const inputTypes: ReadonlyMap<number, ImageInput["type"]> = new Map([
  [1, "float32"],
  [2, "uint8"],
]);
const channels = 3;

/** The graph's inputs without those that only give a constant its place, as older files have them. */
function freeInputs({ graph }: OnnxGraph): ValueInfoProto[] {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  return graph.input.filter(({ name }) => !constants.has(name));
}

/**
 * The input, for images of `size` by `size`. Throws an Error that says which shape was found and which is expected.
 */
export function findImageInput(onnx: OnnxGraph, size: number): ImageInput {
  const inputs = freeInputs(onnx);
  const [input] = inputs;
  if (input === undefined || inputs.length > 1) {
    const found = inputs.map(({ name }) => name).join(", ") || "none";
    throw new Error(`it has the inputs ${found}; expected one, of images`);
  }
  const { name } = input;
  const { elemType, shape } = tensorOf(input);
  const type = inputTypes.get(elemType);
  if (type === undefined)
    throw new Error(`input ${name} is of data type ${elemType}, expected float32 (1) or uint8 (2); export it so`);
  const dims = shape?.dim.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : null)) ?? [];
  const [batch, ...rest] = dims;
  const layout = layoutOf(rest);
  const shown = `[${shape?.dim.map(({ value }) => value.value ?? "?").join(", ") ?? ""}]`;
  const expected = `expected [N, 3, ${size}, ${size}] or [N, ${size}, ${size}, 3]`;
  if (batch === undefined || layout === null) throw new Error(`input ${name} has the shape ${shown}, ${expected}`);
  const sides = layout === "NCHW" ? rest.slice(1) : rest.slice(0, 2);
  if (sides.some((side) => side !== null && side !== size))
    throw new Error(`input ${name} has the shape ${shown}, ${expected}, the only size that this version runs`);
  if (batch !== null && batch !== 1)
    throw new Error(
      `input ${name} takes ${batch} images at a time, ${shown}; export it with a free (dynamic) first axis`,
    );
  return { name, layout, type, batch: batch === null ? "free" : "one" };
}

function tensorOf({ name, type }: ValueInfoProto): TypeProto_Tensor {
  if (type?.value.case === "tensorType") return type.value.value;
  throw new Error(`input ${name} is not a tensor, expected one of images`);
}

function layoutOf(rest: readonly (number | null)[]): ImageInput["layout"] | null {
  if (rest.length !== 3) return null;
  if (rest[0] === channels) return "NCHW";
  return rest[2] === channels ? "NHWC" : null;
}

/** Operators whose result is what goes in, as far as a classifier's end is concerned. */
const passing: readonly string[] = ["Identity", "Cast", "Dropout", "QuantizeLinear", "DequantizeLinear"];
/** Both make probabilities of what goes in, and softmax of their input gives the same ones. */
const softmaxes: readonly string[] = ["Softmax", "LogSoftmax"];

/** Throws an Error that names the operator with which the graph ends otherwise. */
export function findClassifier(onnx: OnnxGraph): Classifier {
  const { graph } = onnx;
  const [output] = graph.output;
  if (output === undefined || graph.output.length > 1) {
    const found = graph.output.map(({ name }) => name).join(", ") || "none";
    throw new Error(`it has the outputs ${found}; expected one, of logits or probabilities`);
  }
  const trace = createTrace(onnx);
  const end = trace.producer(trace.through(passing, output.name));
  const isSoftmax = end !== undefined && softmaxes.includes(end.opType);
  if (isSoftmax) requireLastAxis(end, onnx.opset);
  const logits = isSoftmax ? inputOf(end, 0) : output.name;
  const linear = trace.linear(trace.through(passing, logits));
  requireClasses(output, linear.classes);
  return { logits, ...linear };
}

/** Follows values back to the nodes that make them. */
function createTrace(onnx: OnnxGraph) {
  const { nodes, shapeOf } = createShapes(onnx.graph);
  const producer = (value: string): NodeProto | undefined => nodes.get(value);
  const expected =
    "expected a linear layer (Gemm, or MatMul and perhaps Add, with constant weights) that gives the logits";

  const through = (types: readonly string[], value: string): string => {
    let name = value;
    // No value can be reached twice in a sound graph, so this many steps are enough.
    for (let step = 0; step < onnx.graph.node.length; step += 1) {
      const node = producer(name);
      if (node === undefined || !types.includes(node.opType)) break;
      name = inputOf(node, 0);
    }
    return name;
  };

  const weighted = (node: NodeProto, isTransposed: boolean): Omit<Classifier, "logits"> => {
    const shape = shapeOf(inputOf(node, 1));
    if (shape?.length !== 2 || shape.includes(0))
      throw new Error(`${describeNode(node)} has the weights ${inputOf(node, 1)}, ${expected}`);
    const [embeddingWidth = 0, classes = 0] = isTransposed ? shape.toReversed() : shape;
    return { embedding: inputOf(node, 0), embeddingWidth, classes };
  };

  const constantsFirst = (a: string, b: string): number => Number(shapeOf(a) === null) - Number(shapeOf(b) === null);

  const linear = (value: string): Omit<Classifier, "logits"> => {
    const node = producer(value);
    if (node === undefined) throw new Error(`no node makes ${value}, ${expected}`);
    if (node.opType === "MatMul") return weighted(node, false);
    if (node.opType === "Gemm" && flag(node, "transA") === 0) return weighted(node, flag(node, "transB") === 1);
    if (node.opType === "Add") {
      const [biases, others] = [0, 1].map((index) => inputOf(node, index)).toSorted(constantsFirst);
      const product = producer(through(passing, others ?? ""));
      if (shapeOf(biases ?? "") !== null && product?.opType === "MatMul") return weighted(product, false);
    }
    throw new Error(`its logits come from ${describeNode(node)}, ${expected}`);
  };
  return { producer, through, linear };
}

/** The name of an input; empty where the node has none there. */
function inputOf({ input }: NodeProto, index: number): string {
  return input[index] ?? "";
}

/** An attribute that is 0 unless it is given. */
function flag({ attribute }: NodeProto, name: string): number {
  return Number(attribute.find((each) => each.name === name)?.i ?? 0n);
}

/** Before opset 13 the axis is 1 where nothing is said, which for `[N, classes]` is the last one too. */
function requireLastAxis(node: NodeProto, opset: number): void {
  const given = node.attribute.find(({ name }) => name === "axis")?.i ?? (opset < 13 ? 1n : -1n);
  if (given === 1n || given === -1n) return;
  throw new Error(`${describeNode(node)} is over axis ${given}, expected the last one, of the classes`);
}

function requireClasses(output: ValueInfoProto, classes: number): void {
  const { name, type } = output;
  const shape = type?.value.case === "tensorType" ? type.value.value.shape?.dim : undefined;
  if (shape === undefined) return;
  const found = shape[1]?.value;
  const isOther = shape.length !== 2 || (found?.case === "dimValue" && Number(found.value) !== classes);
  if (!isOther) return;
  const shown = shape.map(({ value }) => value.value ?? "?").join(", ");
  throw new Error(`output ${name} has the shape [${shown}], expected [N, ${classes}], as the last layer's weights say`);
}
