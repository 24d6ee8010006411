/**
 * The `onnx` engine: ONNX Runtime (onnxruntime-node) on the CPU. The model call blocks the thread that it is made on,
 * so this is loaded in the engine thread only, through `open-engine`.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { GraphParts } from "../graph-parts.js";
import { buildOnnxModel, graphNames, type ResNetModel } from "../onnx-graph.js";
import { type Engine, type EngineOutput, usualCpuBatchSize } from "./engine.js";

/** What an ONNX session needs besides the model. */
export interface OnnxOptions {
  /** Threads of one model call. */
  readonly threads: number;
  /** The graph of another precision. @default buildOnnxModel */
  readonly build?: (parts: GraphParts) => ResNetModel;
}

/** Opens the model on the CPU. The caller closes the engine; it copies the weights and keeps no reference to them. */
export async function openOnnxEngine(
  parts: GraphParts,
  { threads, build = buildOnnxModel }: OnnxOptions,
): Promise<Engine> {
  const { graph, externalData, embeddingWidth } = build(parts);
  const session = await InferenceSession.create(graph, {
    externalData,
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    // Threads that spin between calls take the cores that decoding needs.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const { inputSize, classes } = parts.spec;
  return {
    name: "onnx/cpu",
    embeddingWidth,
    classes,
    usualBatchSize: usualCpuBatchSize,
    infer: (pixels, n) => infer(session, pixels, [n, inputSize, inputSize, 3]),
    close: () => session.release(),
  };
}

async function infer(session: InferenceSession, pixels: Uint8Array, dims: readonly number[]): Promise<EngineOutput> {
  const results = await session.run({ [graphNames.images]: new Tensor("uint8", pixels, dims) });
  return { embeddings: floats(results, graphNames.embedding), logits: floats(results, graphNames.logits) };
}

function floats(results: InferenceSession.OnnxValueMapType, name: string): Float32Array {
  const data = (results[name] as Tensor | undefined)?.data;
  if (!(data instanceof Float32Array)) throw new Error(`Expected output \`${name}\` to be float32`);
  return data;
}
