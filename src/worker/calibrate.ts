/**
 * Measures the int8 ranges of a model on images and puts them into the cache. Two passes in compute children: the float32
 * model, watched, then the int8 model of what was found, which must agree. Ranges that the golden images refute are not
 * kept. Called by `library/quantize`, which knows where images come from.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { Prediction } from "./compute/protocol.js";
import type { ComputeClient } from "./compute-client/client.js";
import { startCompute } from "./compute-client/start.js";
import { type ComputeHost, computeSettings } from "./compute-settings.js";
import type { Fetcher } from "./fetch/fetcher.js";
import { openFetcher, type WebAccess } from "./fetch/open-fetcher.js";
import { mapOrdered } from "./map-ordered.js";
import { cosine } from "./model/cosine.js";
import { describeModel } from "./model/describe-model.js";
import { type Calibration, digestInt8, type Extremes, encodeCalibration, rangesOf } from "./model/int8/calibration.js";
import { commitCalibration } from "./model/int8/installed.js";
import { resolveModel } from "./model/known-models.js";
import { requireSpec } from "./model/require-spec.js";
import { withWorkDirectory } from "./model/store.js";
import type { Outcome } from "./outcome.js";
import { Slots } from "./slots.js";

export interface CalibrateSettings {
  readonly name: string;
  readonly options: ResolvedOptions;
  readonly host: ComputeHost;
  readonly allowRoots: readonly string[];
  /** How object stores are reached. */
  readonly store: Pick<WebAccess, "s3" | "proxy">;
  /** The images' uris, the same at every call. */
  readonly uris: () => AsyncIterable<string>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What was measured, and how the int8 model compares with the float32 one on the same images. */
export interface CalibrationReport {
  readonly name: string;
  /** File of the ranges. */
  readonly path: string;
  /** Digest of the model in precision int8 from now on. */
  readonly modelSha256: string;
  readonly images: number;
  /** Images that could not be read or decoded. */
  readonly failed: number;
  /** Of the embeddings, int8 to float32. */
  readonly cosineMean: number;
  readonly cosineLeast: number;
  /** Share of the images with the same first class. */
  readonly top1Agreement: number;
}

/** One image as the float32 model saw it. */
interface Reference {
  readonly extremes: Extremes;
  readonly embedding: Float32Array;
  readonly classIndex: number | undefined;
}

/** The only one with integer kernels, so the ranges are those of its float32 kernels too. */
const engine = "onnx";

/** Throws MODEL_*, ENGINE_*, and RUN_SOURCE_EMPTY where no image can be decoded; then nothing is kept. */
export async function calibrateModel(settings: CalibrateSettings): Promise<CalibrationReport> {
  const { name, options, host } = settings;
  const { spec } = requireSpec(await resolveModel(host.cacheDir, name));
  const { golden, references, failed } = await observe(settings);
  const model = await describeModel(host.cacheDir, name, "fp32");
  const seen = references.filter((reference) => reference !== null);
  const ranges = rangesOf(
    spec,
    seen.map(({ extremes }) => extremes),
  );
  const calibration: Calibration = { weightsSha256: model.modelSha256, images: seen.length, ranges, golden };
  const modelSha256 = digestInt8(calibration, "int8");
  return withWorkDirectory(host.cacheDir, async (workDirectory) => {
    const file = join(workDirectory, "int8.json");
    await writeFile(file, encodeCalibration(calibration), { flag: "wx", flush: true });
    const described = { ...model, precision: "int8" as const, modelSha256, calibration: file };
    const compute = await startCompute({ ...computeSettings(described, options, host), engine }, settings);
    try {
      const agreement = await compare(compute, settings, references);
      const path = await commitCalibration(host.cacheDir, name, file);
      return { name, path, modelSha256, images: seen.length, failed, ...agreement };
    } finally {
      await compute.close();
    }
  });
}

async function observe(settings: CalibrateSettings) {
  const { name, options, host } = settings;
  const model = await describeModel(host.cacheDir, name, "fp32");
  const compute = await startCompute({ ...computeSettings(model, options, host), engine, observe: true }, settings);
  try {
    const references: (Reference | null)[] = [];
    let reason = "it is empty";
    for await (const outcome of predictAll(compute, settings)) {
      references.push(outcome.ok ? referenceOf(outcome.value, model.embeddingWidth) : null);
      if (!outcome.ok) reason = `none can be decoded; the last: ${outcome.failure.message}`;
    }
    const failed = references.filter((reference) => reference === null).length;
    if (failed === references.length) throw new LabelmillError("RUN_SOURCE_EMPTY", { source: "--calibrate", reason });
    return { golden: compute.report.golden ?? [], references, failed };
  } finally {
    await compute.close();
  }
}

/** Takes the observing engine's output apart; see `buildObservedModel`. */
function referenceOf({ embedding, topIndices }: Prediction, width: number): Reference {
  const values = (embedding.length - width) / 2;
  return {
    embedding: embedding.slice(0, width),
    extremes: { minima: embedding.slice(width, width + values), maxima: embedding.slice(width + values) },
    classIndex: topIndices[0],
  };
}

async function compare(
  compute: ComputeClient,
  settings: CalibrateSettings,
  references: readonly (Reference | null)[],
): Promise<Pick<CalibrationReport, "cosineMean" | "cosineLeast" | "top1Agreement">> {
  const cosines: number[] = [];
  let agreeing = 0;
  let index = 0;
  for await (const outcome of predictAll(compute, settings)) {
    const reference = references[index] ?? null;
    index += 1;
    if (reference === null || !outcome.ok) continue;
    cosines.push(cosine(outcome.value.embedding, reference.embedding));
    if (outcome.value.topIndices[0] === reference.classIndex) agreeing += 1;
  }
  return {
    cosineMean: cosines.reduce((sum, value) => sum + value, 0) / cosines.length,
    cosineLeast: Math.min(...cosines),
    top1Agreement: agreeing / cosines.length,
  };
}

/** Fetches and predicts every image, in order. */
async function* predictAll(
  compute: ComputeClient,
  { allowRoots, options, store, uris, signal }: CalibrateSettings,
): AsyncGenerator<Outcome<Prediction>> {
  const fetcher = await openFetcher({ allowRoots, maxItemBytes: options.maxItemBytes, http: options, ...store });
  const slots = new Slots(2 * compute.report.batchSize + options.decodeConcurrency);
  const work = (uri: string) => predictOne(uri, { compute, fetcher, signal });
  try {
    yield* mapOrdered(uris(), { slots, order: 0, signal, work });
  } finally {
    await fetcher.close();
  }
}

async function predictOne(
  uri: string,
  { compute, fetcher, signal }: { compute: ComputeClient; fetcher: Fetcher; signal: AbortSignal },
): Promise<Outcome<Prediction>> {
  const fetched = await fetcher.fetch(uri, signal);
  return fetched.ok ? compute.predict(fetched.value.bytes, 1) : fetched;
}
