/**
 * Opens the engine that is to run a model, on verified weights, and tells why an engine cannot. Called in the engine
 * thread, since it loads native code; which engine is taken is decided by `engine-choice`.
 */
import type { EngineName } from "../../../shared/engine-names.js";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import type { Precision } from "../../../shared/precision.js";
import { whyNoPrecision, whyNotInstalled, whyNotLoaded } from "../engine-choice.js";
import type { GraphParts } from "../graph-parts.js";
import { isInstalled } from "../is-installed.js";
import type { OnnxProvider } from "../onnx-providers.js";
import { readParts } from "../read-parts.js";
import { readManifest } from "../store.js";
import type { Engine } from "./engine.js";

/** Which engine is to run which model. */
export interface OpenEngineOptions {
  readonly engine: EngineName;
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Weights or ranges of another digest are refused. */
  readonly modelSha256: string;
  /** The digest is of this precision too, so a wrong one is refused. @default "fp32" */
  readonly precision?: Precision;
  /** File of the ranges, for an int8 precision. */
  readonly calibration?: string | null;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

type Open = (parts: GraphParts, options: { readonly threads: number }) => Promise<Engine>;

/** Each loads its engine's native code, or the like. */
const adapters: Readonly<Record<EngineName, () => Promise<Open>>> = {
  onnx: () => loadOnnx("cpu"),
  "onnx-cuda": () => loadOnnx("cuda"),
  "onnx-webgpu": () => loadOnnx("webgpu"),
  wasm: async () => (await import("./wasm.js")).openWasmEngine,
  tensorflow: async () => (await import("./tensorflow.js")).openTensorflowEngine,
  webgpu: async () => (await import("./webgpu.js")).openWebgpuEngine,
};

async function loadOnnx(provider: OnnxProvider): Promise<Open> {
  const { openOnnxEngine } = await import("./onnx.js");
  return (parts, options) => openOnnxEngine(parts, { ...options, provider });
}

/** Why that engine cannot run here, whatever the model, and what to do about it; null where it loads. */
export async function whyUnavailable(engine: EngineName): Promise<string | null> {
  const lacking = whyNotInstalled(engine, isInstalled);
  if (lacking !== null) return lacking;
  try {
    await adapters[engine]();
    return null;
  } catch (error) {
    return whyNotLoaded(engine, firstLineOf(error));
  }
}

/**
 * Loads the verified weights into an engine; the caller closes it. Throws what `readModel` throws, for an int8 precision
 * what `openInt8Engine` throws, and ENGINE_UNAVAILABLE where the engine's package does not load or refuses the model, or the
 * model is an ONNX file and the engine not ONNX Runtime.
 */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  const { engine, modelDir, modelSha256, precision = "fp32", calibration, engineThreads } = options;
  if (precision !== "fp32") {
    const reason = whyNoPrecision(engine, precision);
    if (reason !== null) throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason });
    const { openInt8Engine } = await import("./open-int8.js");
    return openInt8Engine({ modelDir, modelSha256, precision, calibration: calibration as string, engineThreads });
  }
  if ((await readManifest(modelDir)).imported?.onnx !== undefined) {
    const { openOnnxFile } = await import("./open-onnx-file.js");
    return openOnnxFile(options);
  }
  const parts = await readParts(modelDir, modelSha256);
  try {
    const open = await adapters[engine]();
    return await open(parts, { threads: engineThreads });
  } catch (error) {
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason: messageOf(error) }, { cause: error });
  }
}

/** The rest of what a package says is advice of its own, which may not fit here. */
function firstLineOf(thrown: unknown): string {
  const [first = ""] = (thrown instanceof Error ? thrown.message : String(thrown)).split("\n");
  return first.replace(/[\s.]+$/, "");
}
