import type { GraphParts } from "../graph-parts.js";
import { createGraphBuilder, int, ints } from "../onnx-builder.js";
import { addFloatNetwork, addHead, graphNames, imagesOf, outputsOf, type ResNetModel } from "../onnx-graph.js";
import { layersOf } from "../spec.js";

/**
 * The float32 model, watched: its `embedding` is each image's embedding, then the smallest number of every value of
 * `valueNamesOf(spec)`, then the largest ones.
 */
export function buildObservedModel(parts: GraphParts): ResNetModel {
  const { spec } = parts;
  const graph = createGraphBuilder();
  const values: string[] = [];
  const last = addFloatNetwork(graph, parts, (_, value) => values.push(value));
  const embedding = addHead(graph, last, "plain-embedding");
  const extremes = ["ReduceMin", "ReduceMax"].flatMap((operator) =>
    values.map((value) => {
      const extreme = graph.node(operator, [value], `${value}.${operator}`, [ints("axes", [1, 2, 3])]);
      return graph.node("Flatten", [extreme], `${extreme}.column`, [int("axis", 1)]);
    }),
  );
  graph.node("Concat", [embedding, ...extremes], graphNames.embedding, [int("axis", 1)]);
  const embeddingWidth = layersOf(spec).embeddingWidth + extremes.length;
  return { ...graph.build(imagesOf(spec), outputsOf(spec, embeddingWidth)), embeddingWidth };
}
