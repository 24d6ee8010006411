/**
 * Opens the engine that `--engine` asks for, or the one that `auto` finds. A GPU counts for `auto` only once the engine has
 * run on it: drivers and libraries that do not fit together are found out by nothing less. Called in the engine thread.
 */
import type { EngineName, EngineRequest } from "../../../shared/engine-names.js";
import { messageOf } from "../../../shared/errors.js";
import { chooseEngine, type EngineChoice, whyNoPrecision } from "../engine-choice.js";
import { hasGpuFor } from "../gpu-devices.js";
import { drawGoldenImages, goldenCount } from "../int8/golden.js";
import { modelOf } from "../manifest.js";
import { whyNotAsItIs } from "../onnx-file/only-engine.js";
import { readManifest } from "../store.js";
import { closeOnFailure } from "./close-on-failure.js";
import type { Engine } from "./engine.js";
import { type OpenEngineOptions, openEngine, whyUnavailable } from "./open-engine.js";

export interface ChosenEngine {
  /** The caller closes it. */
  readonly engine: Engine;
  readonly choice: EngineChoice;
}

/** Throws what `chooseEngine` and `openEngine` throw. */
export async function openChosenEngine(
  asked: EngineRequest,
  options: Omit<OpenEngineOptions, "engine">,
): Promise<ChosenEngine> {
  const { precision = "fp32", modelDir } = options;
  const model = modelOf(await readManifest(modelDir));
  const whyUnfit = (engine: EngineName) => whyNotAsItIs(engine, model) ?? whyNoPrecision(engine, precision);
  const whyNot = async (engine: EngineName) => whyUnfit(engine) ?? (await whyUnavailable(engine));
  let tried: Engine | null = null;
  const choice = await chooseEngine(asked, {
    hasGpuFor: async (engine) => whyUnfit(engine) === null && hasGpuFor(engine),
    whyNot,
    async whyNotOnGpu(engine) {
      const reason = await whyNot(engine);
      if (reason !== null) return reason;
      try {
        tried = await openProvedEngine({ ...options, engine });
        return null;
      } catch (error) {
        return messageOf(error).replace(/^Engine \S+ cannot run here: /, "");
      }
    },
  });
  return { choice, engine: tried ?? (await openEngine({ ...options, engine: choice.engine })) };
}

/**
 * As `openEngine`, for an engine on a real GPU that has answered the golden images; the caller closes it. Throws also where
 * it runs on a CPU or a software driver, or answers with numbers that are not finite.
 */
export async function openProvedEngine(options: OpenEngineOptions): Promise<Engine> {
  const { cropSize } = modelOf(await readManifest(options.modelDir)).preprocess;
  const engine = await openEngine(options);
  await closeOnFailure(engine, async () => {
    if (engine.isOnGpu !== true) throw new Error(`it would run as ${engine.name}`);
    const { embeddings, logits } = await engine.infer(drawGoldenImages(cropSize), goldenCount);
    if (![...embeddings, ...logits].every(Number.isFinite))
      throw new Error("it answers with numbers that are not finite");
  });
  return engine;
}
