/**
 * Opens an int8 model, proved on the golden images, and the watched float32 model that its ranges are measured with. Both
 * are graphs for the `onnx` engine, the only one with integer kernels. Called in the engine thread.
 */
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import type { QuantizedPrecision } from "../../../shared/precision.js";
import type { GraphParts } from "../graph-parts.js";
import { type Calibration, weightLimits } from "../int8/calibration.js";
import { drawGoldenImages, goldenCount, leastCosine, leastGoldenCosine } from "../int8/golden.js";
import { requireCalibration } from "../int8/installed.js";
import { buildInt8Model } from "../int8/int8-graph.js";
import { buildObservedModel } from "../int8/observed-graph.js";
import { modelOf } from "../manifest.js";
import type { ResNetModel } from "../onnx-graph.js";
import { readParts } from "../read-parts.js";
import { layersOf } from "../spec.js";
import { readManifest } from "../store.js";
import { closeOnFailure } from "./close-on-failure.js";
import type { Engine } from "./engine.js";

/** Which weights, and how. */
export interface OpenObservingOptions {
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Weights or ranges of another digest are refused. */
  readonly modelSha256: string;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

/** Which ranges, too. */
export interface OpenInt8Options extends OpenObservingOptions {
  readonly precision: QuantizedPrecision;
  /** File of the ranges. */
  readonly calibration: string;
}

/**
 * The int8 model of that digest; the caller closes it. Throws what `readModel` and `requireCalibration` throw, and
 * ENGINE_UNAVAILABLE where ONNX Runtime does not load, or the model does not see the golden images as the float32 one does.
 */
export async function openInt8Engine(options: OpenInt8Options): Promise<Engine> {
  const { modelDir, modelSha256, precision, calibration: path } = options;
  const model = modelOf(await readManifest(modelDir));
  const calibration = await requireCalibration({ model, path, precision, modelSha256 });
  const { ranges, weightsSha256 } = calibration;
  const parts = await readParts(modelDir, weightsSha256);
  const weightLimit = weightLimits[precision];
  const engine = await openOnnx(parts, (given) => buildInt8Model({ ...given, ranges, weightLimit }), options);
  await closeOnFailure(engine, () =>
    requireGolden(engine, { inputSize: parts.spec.inputSize, precision, calibration }),
  );
  return engine;
}

/** An engine that measures. */
export interface ObservingEngine {
  /** Its embeddings are those of `buildObservedModel`. */
  readonly engine: Engine;
  /** What `Calibration.golden` is to hold. */
  readonly golden: readonly Float32Array[];
}

/** The float32 model of that digest, watched; the caller closes it. Throws as `openEngine` does. */
export async function openObservingEngine(options: OpenObservingOptions): Promise<ObservingEngine> {
  const parts = await readParts(options.modelDir, options.modelSha256);
  const engine = await openOnnx(parts, buildObservedModel, options);
  const images = drawGoldenImages(parts.spec.inputSize);
  const { embeddings } = await closeOnFailure(engine, () => engine.infer(images, goldenCount));
  const { embeddingWidth } = layersOf(parts.spec);
  const golden = Array.from({ length: goldenCount }, (_, image) => {
    const from = image * engine.embeddingWidth;
    return embeddings.slice(from, from + embeddingWidth);
  });
  return { engine, golden };
}

async function openOnnx(
  parts: GraphParts,
  build: (parts: GraphParts) => ResNetModel,
  { engineThreads }: OpenObservingOptions,
): Promise<Engine> {
  try {
    const { openOnnxEngine } = await import("./onnx.js");
    return await openOnnxEngine(parts, { threads: engineThreads, build });
  } catch (error) {
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: "onnx", reason: messageOf(error) }, { cause: error });
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
  const found = `in ${precision} the golden images' embeddings have cosine ${least.toFixed(3)} to the float32 model's`;
  const other = precision === "int8" ? "`--precision int8-7bit`, for CPUs whose 8-bit sums saturate, or " : "";
  const reason = `${found}, expected ${leastGoldenCosine} at least; use ${other}\`--precision fp32\``;
  throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: engine.name, reason });
}
