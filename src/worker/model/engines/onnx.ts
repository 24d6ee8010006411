/**
 * The `onnx` engines: ONNX Runtime (onnxruntime-node), with one of its providers. The model call blocks the thread that it is
 * made on, so this is loaded in the engine thread only, through `open-engine`.
 *
 * ONNX Runtime gives nodes that a provider does not take to the CPU, and onnxruntime-node has no call that tells where nodes
 * went. `session.disable_cpu_ep_fallback` makes the session fail instead, so a session that opens runs on its provider alone.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { messageOf } from "../../../shared/errors.js";
import type { GraphParts } from "../graph-parts.js";
import { buildOnnxModel, graphNames, type ResNetModel } from "../onnx-graph.js";
import type { OnnxProvider } from "../onnx-providers.js";
import { type Engine, type EngineOutput, usualCpuBatchSize } from "./engine.js";

/** What an ONNX session needs besides the model. */
export interface OnnxOptions {
  /** Threads of one model call on the CPU. */
  readonly threads: number;
  /** The graph of another precision. @default buildOnnxModel */
  readonly build?: (parts: GraphParts) => ResNetModel;
  /** What executes the graph, all of it. @default "cpu" */
  readonly provider?: OnnxProvider;
}

/** A graph with the input and outputs of `graphNames`, and what is known of their sizes. */
export interface OnnxGraphModel extends ResNetModel {
  readonly inputSize: number;
  readonly classes: number;
}

/** What is lacking where a provider's session does not open. */
const advice: Readonly<Record<OnnxProvider, string>> = {
  cpu: "",
  cuda: "; it needs an NVIDIA GPU, Linux on x64, CUDA 12 with cuDNN 9 on LD_LIBRARY_PATH, and the libraries that `npm rebuild onnxruntime-node --ignore-scripts=false` fetches",
  webgpu: "; it needs a GPU with a driver for Vulkan, Metal or Direct3D 12",
};

/**
 * Opens the model. The caller closes the engine; it copies the weights and keeps no reference to them. Throws where the
 * provider cannot run every node.
 */
export function openOnnxEngine(
  parts: GraphParts,
  { build = buildOnnxModel, ...options }: OnnxOptions,
): Promise<Engine> {
  const { inputSize, classes } = parts.spec;
  return openOnnxGraph({ ...build(parts), inputSize, classes }, options);
}

/** Opens any graph, likewise. */
export async function openOnnxGraph(
  { graph, externalData, embeddingWidth, inputSize, classes }: OnnxGraphModel,
  { threads, provider = "cpu" }: Omit<OnnxOptions, "build">,
): Promise<Engine> {
  const session = await InferenceSession.create(graph, {
    externalData,
    executionProviders: [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    extra: {
      session: {
        // Threads that spin between calls take the cores that decoding needs.
        intra_op: { allow_spinning: "0" },
        ...(provider === "cpu" ? {} : { disable_cpu_ep_fallback: "1" }),
      },
    },
  }).catch((error: unknown) => {
    throw new Error(`${messageOf(error)}${advice[provider]}`, { cause: error });
  });
  return {
    // What was asked for; `disable_cpu_ep_fallback` makes it what runs, since the session would not have opened otherwise.
    name: `onnx/${provider}`,
    embeddingWidth,
    classes,
    ...(provider === "cpu" ? { usualBatchSize: usualCpuBatchSize } : {}),
    // WebGPU may be a software driver, and does not say.
    isOnGpu: provider === "cuda",
    // cuDNN tries its algorithms at the first call of a shape, all of them, and onnxruntime-node 1.30 hands the CUDA
    // provider no option that would have it guess instead (of `CudaExecutionProviderOption` it reads the device alone).
    isShapeBound: provider === "cuda",
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
