import type { GraphProto, NodeProto, TensorProto } from "../onnx_pb.js";

/** What can be told of a graph's values without running it. */
export interface Shapes {
  /** The node that makes a value, by the value's name. */
  readonly nodes: ReadonlyMap<string, NodeProto>;
  /** The shape of a constant, also of one that only changes its type or order before it is used; null for other values. */
  shapeOf(value: string): readonly number[] | null;
}

/** Nodes between a constant and its use; exporters write two at most. */
const longestChain = 8;
/** Operators that leave a constant's shape as it is. */
const shapePreserving: readonly string[] = ["Identity", "Cast", "DequantizeLinear", "QuantizeLinear"];

export function createShapes(graph: GraphProto): Shapes {
  const nodes = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const constants = constantsOf(graph);
  const shapeOf = (value: string, stepsLeft: number): readonly number[] | null => {
    const constant = constants.get(value);
    if (constant !== undefined) return constant.dims.map(Number);
    const node = nodes.get(value);
    // A graph that is no sound one may lead in a circle.
    if (node === undefined || stepsLeft === 0) return null;
    const input = () => shapeOf(node.input[0] ?? "", stepsLeft - 1);
    if (shapePreserving.includes(node.opType)) return input();
    if (node.opType !== "Transpose") return null;
    const shape = input();
    const order = node.attribute.find(({ name }) => name === "perm")?.ints.map(Number);
    return shape === null ? null : (order?.map((axis) => shape[axis] ?? 0) ?? shape.toReversed());
  };
  return { nodes, shapeOf: (value) => shapeOf(value, longestChain) };
}

/** Every constant of the graph by its name: initializers, and what Constant nodes hold. */
export function constantsOf({ initializer, node }: GraphProto): Map<string, TensorProto> {
  const constants = new Map(initializer.map((tensor) => [tensor.name, tensor]));
  for (const { opType, output, attribute } of node) {
    const value = opType === "Constant" ? attribute.find(({ name }) => name === "value")?.t : undefined;
    if (value !== undefined) constants.set(output[0] ?? "", value);
  }
  return constants;
}
