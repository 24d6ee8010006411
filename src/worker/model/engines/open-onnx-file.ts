import type { EngineName } from "../../../shared/engine-names.js";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { whyNotAsItIs } from "../onnx-file/only-engine.js";
import { makeRunnable, type RunnableGraph } from "../onnx-file/runnable-graph.js";
import { readOnnxFile, type StoredOnnxFile } from "../onnx-file/stored.js";
import { onnxProviders } from "../onnx-providers.js";
import { damaged } from "../store.js";
import type { Engine } from "./engine.js";
import { oneByOne } from "./one-by-one.js";
import type { OnnxOptions } from "./onnx.js";

/** Which engine is to run which model that is an ONNX file. */
export interface OpenOnnxFileOptions {
  readonly engine: EngineName;
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Files of another digest are refused. */
  readonly modelSha256: string;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

/**
 * Opens a user's graph, and has it run an image and two at once, since its shapes are only what it claims until then. Throws what
 * `readOnnxFile` throws, and ENGINE_UNAVAILABLE for an engine other than ONNX Runtime, and where ONNX Runtime refuses the graph.
 */
export async function openOnnxFile(options: OpenOnnxFileOptions): Promise<Engine> {
  const { engine, modelDir, engineThreads } = options;
  const stored = await readOnnxFile(modelDir, options);
  try {
    const reason = whyNotAsItIs(engine, stored.model);
    if (reason !== null) throw new Error(reason);
    return await openProved(runnableOf(stored), { threads: engineThreads, provider: onnxProviders[engine] ?? "cpu" });
  } catch (error) {
    if (error instanceof LabelmillError) throw error;
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason: messageOf(error) }, { cause: error });
  }
}

/** The files are those that were imported, so that a graph which does not fit them means another manifest. */
function runnableOf({ model, files }: StoredOnnxFile): RunnableGraph {
  try {
    const graph = makeRunnable(files, model.preprocess);
    const [found, expected] = [graph, model.onnx].map((sizes) => `${sizes.embeddingWidth} and ${sizes.classes}`);
    if (found === expected) return graph;
    throw new Error(`its graph gives embeddings and classes of ${found}, the manifest says ${expected}`);
  } catch (error) {
    throw damaged(model.name, messageOf(error), error);
  }
}

async function openProved(graph: RunnableGraph, options: Omit<OnnxOptions, "build">): Promise<Engine> {
  const { openOnnxGraph } = await import("./onnx.js");
  const opened = ofSizes(await openOnnxGraph(graph, options), graph);
  const engine = graph.batch === "one" ? oneByOne(opened, imageBytes(graph)) : opened;
  try {
    await prove(engine, imageBytes(graph));
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function prove(engine: Engine, bytes: number): Promise<void> {
  await engine.infer(new Uint8Array(bytes), 1);
  await engine.infer(new Uint8Array(2 * bytes), 2).catch((error: unknown) => {
    const remedy = "export it with a free (dynamic) first axis";
    throw new Error(`it runs one image, but not two at a time (${messageOf(error)}); ${remedy}`, { cause: error });
  });
}

const imageBytes = ({ inputSize }: RunnableGraph): number => inputSize * inputSize * 3;

/** The engine, with outputs of the sizes that the graph promises. */
function ofSizes(engine: Engine, { embeddingWidth, classes }: RunnableGraph): Engine {
  return {
    ...engine,
    async infer(pixels, n) {
      const output = await engine.infer(pixels, n);
      requireSize("embedding", output.embeddings, [n, embeddingWidth]);
      requireSize("logits", output.logits, [n, classes]);
      return output;
    },
  };
}

function requireSize(name: string, { length }: Float32Array, [n, width]: readonly [number, number]): void {
  if (length === n * width) return;
  throw new Error(`the graph's ${name} has ${length} numbers for ${n} images, expected ${n} x ${width}`);
}
