/**
 * Opens an ONNX file of a user's and proves on two pictures that it can be batched. What the graph is made of was checked at the
 * import and is checked again by `onnx-file`; here it runs. `open-engine` calls it.
 */
import type { EngineName } from "../../../shared/engine-names.js";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { drawGoldenImages } from "../int8/golden.js";
import { whyNotAsItIs } from "../onnx-file/only-engine.js";
import { makeRunnable, type RunnableGraph } from "../onnx-file/runnable-graph.js";
import { requireSameOutput } from "../onnx-file/same-output.js";
import { readOnnxFile, type StoredOnnxFile } from "../onnx-file/stored.js";
import { onnxProviders } from "../onnx-providers.js";
import { damaged } from "../store.js";
import type { Engine, EngineOutput } from "./engine.js";
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
 * Opens a user's graph, and has it run two images, each alone and both at once: until then its shapes are only what it claims, and a
 * row might hang on its neighbours. Throws what
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
    await prove(engine, graph);
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** What a graph says of an image must hang on that image alone: not on chance, nor on those beside it in a batch. */
async function prove(engine: Engine, graph: RunnableGraph): Promise<void> {
  const bytes = imageBytes(graph);
  // White is unlike any picture: the embeddings of two golden images may differ by less than what is tolerated.
  const pair = new Uint8Array(2 * bytes).fill(255);
  pair.set(drawGoldenImages(graph.inputSize).subarray(0, bytes));
  const [first, second] = [pair.subarray(0, bytes), pair.subarray(bytes)];
  const alone = await engine.infer(first, 1);
  const other = await engine.infer(second, 1);
  const again = await engine.infer(first, 1);
  requireSameOutput(again, alone, "of one image is another the second time; export it in evaluation mode");
  if (graph.batch === "one") return;
  const together = await engine.infer(pair, 2).catch((error: unknown) => {
    const remedy = "export it with a free (dynamic) first axis";
    throw new Error(`it runs one image, but not two at a time (${messageOf(error)}); ${remedy}`, { cause: error });
  });
  const beside = "of an image is not the same beside another one; export it in evaluation mode, or for batches of 1";
  requireSameOutput(together, joined(alone, other), beside);
}

function joined(first: EngineOutput, second: EngineOutput): EngineOutput {
  const join = (a: Float32Array, b: Float32Array) => Float32Array.of(...a, ...b);
  return { embeddings: join(first.embeddings, second.embeddings), logits: join(first.logits, second.logits) };
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
