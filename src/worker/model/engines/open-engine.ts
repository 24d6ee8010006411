/**
 * Opens the engine that is to run a model: verified weights, the graph of the precision, and for int8 the proof on the
 * golden images. Called in the engine thread, since it loads native code.
 */
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import type { Precision, QuantizedPrecision } from "../../../shared/precision.js";
import { findModel } from "../catalog.js";
import { type Calibration, weightLimits } from "../int8/calibration.js";
import { drawGoldenImages, goldenCount, leastCosine, leastGoldenCosine } from "../int8/golden.js";
import { requireCalibration } from "../int8/installed.js";
import { buildInt8Model } from "../int8/int8-graph.js";
import { buildObservedModel } from "../int8/observed-graph.js";
import { buildOnnxModel, type GraphParts, type ResNetModel } from "../onnx-graph.js";
import { layersOf } from "../spec.js";
import { readManifest, readModel } from "../store.js";
import type { Engine } from "./engine.js";

/** Which engine is to run which model. */
export interface OpenEngineOptions {
  readonly engine: "onnx";
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Weights or ranges of another digest are refused. */
  readonly modelSha256: string;
  /** @default "fp32" */
  readonly precision?: Precision;
  /** File of the ranges, for an int8 precision. */
  readonly calibration?: string | null;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

/**
 * Loads the verified weights into an engine; the caller closes it. Throws what `readModel` and `requireCalibration` throw,
 * and ENGINE_UNAVAILABLE where the engine's package does not load or refuses the model, or where an int8 model does not
 * see the golden images as the float32 one does.
 */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  const { precision = "fp32", calibration: path = null, modelDir, modelSha256 } = options;
  if (precision === "fp32" || path === null) {
    return openOnnx(await readParts(modelDir, modelSha256), buildOnnxModel, options);
  }
  const { name } = await readManifest(modelDir);
  const calibration = await requireCalibration({ name, path, precision, modelSha256 });
  const { ranges, weightsSha256 } = calibration;
  const parts = await readParts(modelDir, weightsSha256);
  const weightLimit = weightLimits[precision];
  const engine = await openOnnx(parts, (given) => buildInt8Model({ ...given, ranges, weightLimit }), options);
  await requireGolden(engine, { inputSize: parts.spec.inputSize, precision, calibration });
  return engine;
}

/** An engine that measures. */
export interface ObservingEngine {
  /** Its embeddings are those of `buildObservedModel`. */
  readonly engine: Engine;
  /** What `Calibration.golden` is to hold. */
  readonly golden: readonly Float32Array[];
}

/** The float32 model of that digest, watched. Throws as `openEngine` does. */
export async function openObservingEngine(options: OpenEngineOptions): Promise<ObservingEngine> {
  const parts = await readParts(options.modelDir, options.modelSha256);
  const engine = await openOnnx(parts, buildObservedModel, options);
  const { embeddings } = await engine.infer(drawGoldenImages(parts.spec.inputSize), goldenCount);
  const { embeddingWidth } = layersOf(parts.spec);
  const golden = Array.from({ length: goldenCount }, (_, image) => {
    const from = image * engine.embeddingWidth;
    return embeddings.slice(from, from + embeddingWidth);
  });
  return { engine, golden };
}

async function readParts(modelDir: string, weightsSha256: string): Promise<GraphParts> {
  const { manifest, weights } = await readModel(modelDir, weightsSha256);
  const { spec, preprocess } = findModel(manifest.name);
  return { spec, preprocess, weights };
}

async function openOnnx(
  parts: GraphParts,
  build: (parts: GraphParts) => ResNetModel,
  { engine, engineThreads }: OpenEngineOptions,
): Promise<Engine> {
  try {
    const { openOnnxEngine } = await import("./onnx.js");
    return await openOnnxEngine(parts, { threads: engineThreads, build });
  } catch (error) {
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason: messageOf(error) }, { cause: error });
  }
}

interface GoldenProof {
  readonly inputSize: number;
  readonly precision: QuantizedPrecision;
  readonly calibration: Calibration;
}

async function requireGolden(engine: Engine, { inputSize, precision, calibration }: GoldenProof): Promise<void> {
  const { embeddings } = await engine.infer(drawGoldenImages(inputSize), goldenCount);
  const least = leastCosine(embeddings, calibration.golden);
  if (least >= leastGoldenCosine) return;
  await engine.close();
  const found = `in ${precision} the golden images' embeddings have cosine ${least.toFixed(3)} to the float32 model's`;
  const other = precision === "int8" ? "`--precision int8-7bit`, for CPUs whose 8-bit sums saturate, or " : "";
  const reason = `${found}, expected ${leastGoldenCosine} at least; use ${other}\`--precision fp32\``;
  throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: engine.name, reason });
}
