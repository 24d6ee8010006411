/**
 * What `doctor` finds of the engines: each one that is here on a golden batch of known photos (what it says of them, and
 * how fast), which one a run would use and why, and what would be faster. Every number is measured on the spot.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EngineName } from "../shared/engine-names.js";
import { messageOf } from "../shared/errors.js";
import { type ComparedEngine, compareEngines, type EngineComparison, isSound } from "../worker/compare-engines.js";
import { computeSettings } from "../worker/compute-settings.js";
import { describeModel } from "../worker/model/describe-model.js";
import { chooseEngine, type EngineChoice, type EngineProbes } from "../worker/model/engine-choice.js";
import { findGpu, hasGpuFor } from "../worker/model/gpu-devices.js";
import { loadLabels, resolveModel } from "../worker/model/known-models.js";
import type { CallContext } from "./context.js";
import type { Finding } from "./finding.js";
import { examplePhotos, usualEngines } from "./usual-comparison.js";

/** The cat comes first: its label is the proof. Twice the four, so that batches have their usual size. */
const photos = ["chelsea.png", "coffee.png", "camera.png", "rocket.jpg"];
const goldenBatch = [...photos, ...photos];
/** Below this, two speeds are the same on a machine that does other things as well. */
const noticeablyFaster = 1.2;

/** One finding an engine, and one of what would be faster. A `failed` one means that a run would not work as asked. */
export async function diagnoseEngines(context: CallContext): Promise<Finding[]> {
  try {
    const comparison = await compareHere(context);
    const { absent } = comparison;
    const { cacheDir } = context.places;
    const choice = await chooseEngine(context.options.engine, probesOf(comparison));
    const labels = await loadLabels(cacheDir, await resolveModel(cacheDir, context.options.model));
    return [
      ...comparison.compared.map((engine) => describeCompared(engine, choice, labels)),
      ...absent.map(
        ({ asked, reason }): Finding => ({ subject: `engine ${asked}`, state: "info", detail: `not used: ${reason}` }),
      ),
      { subject: "faster", state: "info", detail: await describeFaster(comparison, choice) },
    ];
  } catch (error) {
    return [{ subject: "engine", state: "failed", detail: messageOf(error) }];
  }
}

async function compareHere({ options, places, log, signal }: CallContext): Promise<EngineComparison> {
  const model = await describeModel(places.cacheDir, options.model, options.precision);
  const images = await Promise.all(goldenBatch.map((name) => readFile(join(examplePhotos, name))));
  const usual = await usualEngines();
  const asked = options.engine;
  const isExtra = asked !== "auto" && !usual.engines.includes(asked);
  const engines = isExtra ? [...usual.engines, asked] : usual.engines;
  const settings = computeSettings(model, options, places);
  const variants = engines.map((engine) => ({ settings: { ...settings, engine }, isRequired: false }));
  return compareEngines({ variants, leftOut: isExtra ? [] : usual.leftOut, images, log, signal });
}

/** What the trials have shown; nothing is loaded here. */
function probesOf({ compared, absent }: EngineComparison): EngineProbes {
  const findTrial = (engine: EngineName) => compared.find(({ asked }) => asked === engine);
  const whyNot = async (engine: EngineName) => {
    const reason = absent.find(({ asked }) => asked === engine)?.reason;
    return reason ?? (findTrial(engine) === undefined ? "it was not tried" : null);
  };
  return {
    hasGpuFor,
    whyNot,
    whyNotOnGpu: async (engine) =>
      findTrial(engine)?.isOnGpu === false ? "it does not run on the GPU" : await whyNot(engine),
  };
}

function describeCompared(compared: ComparedEngine, choice: EngineChoice, labels: readonly string[]): Finding {
  const { asked, engine, precision, loadMs, batchSize, imagesPerSecond, agreement, top } = compared;
  const { topIndex = -1, topScore = 0 } = top[0] ?? {};
  const state = isSound(compared) ? "ok" : "failed";
  const parts = [
    `${engine} in ${precision}, ${imagesPerSecond.toFixed(1)} images/s in batches of ${batchSize}, loaded in ${Math.round(loadMs)} ms`,
    `the example photo is ${labels[topIndex] ?? "none"} (${topScore.toFixed(2)})`,
    ...(state === "ok" ? [] : [`it DISAGREES with the first engine, cosine ${agreement?.minCosine.toFixed(4)}`]),
    ...(asked === choice.engine ? [`chosen: ${choice.why}`] : []),
  ];
  return { subject: `engine ${asked}`, state, detail: parts.join("; ") };
}

/** What to do for more speed, as far as this machine lets one say. */
async function describeFaster({ compared, absent }: EngineComparison, { engine }: EngineChoice): Promise<string> {
  const chosen = compared.find(({ asked }) => asked === engine);
  const fastest = compared.toSorted((a, b) => b.imagesPerSecond - a.imagesPerSecond)[0];
  if (chosen !== undefined && fastest !== undefined) {
    if (fastest.imagesPerSecond > noticeablyFaster * chosen.imagesPerSecond)
      return `${fastest.asked} was faster on this machine; take --engine ${fastest.asked}`;
  }
  const gpu = await findGpu();
  const better = gpu === null ? "onnx" : (await hasGpuFor("tensorflow")) ? "tensorflow" : "webgpu";
  const missing = absent.find(({ asked }) => asked === better);
  if (missing !== undefined) return `${missing.asked} may be faster here, but ${missing.reason}`;
  if (gpu === null) return `no GPU found, and no CPU engine is faster than ${engine}`;
  return `none of the engines on the GPU (${gpu}) was faster than ${engine}`;
}
