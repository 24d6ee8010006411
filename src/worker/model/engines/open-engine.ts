import { existsSync } from "node:fs";
import type { EngineName } from "../../../shared/engine-names.js";
import { LabelmillError, messageOf } from "../../../shared/errors.js";
import { findModel } from "../catalog.js";
import { type CudaProbe, whyNotInstalled, whyNotLoaded } from "../engine-choice.js";
import type { GraphParts } from "../graph-parts.js";
import { readModel } from "../store.js";
import type { Engine } from "./engine.js";

/** Which engine is to run which model. */
export interface OpenEngineOptions {
  readonly engine: EngineName;
  /** The model's directory in the cache. */
  readonly modelDir: string;
  /** Weights of another digest are refused. */
  readonly modelSha256: string;
  /** Threads of one model call. */
  readonly engineThreads: number;
}

type Open = (parts: GraphParts, options: { readonly threads: number }) => Promise<Engine>;

/** Each loads its engine's native code, or the like. */
const adapters: Readonly<Record<EngineName, () => Promise<Open>>> = {
  onnx: async () => (await import("./onnx.js")).openOnnxEngine,
  wasm: async () => (await import("./wasm.js")).openWasmEngine,
  tensorflow: async () => (await import("./tensorflow.js")).openTensorflowEngine,
  webgpu: async () => (await import("./webgpu.js")).openWebgpuEngine,
};

/**
 * Why that engine cannot run here, and what to do about it; null where it loads. To be called in the engine thread, since
 * it loads native code.
 */
export async function whyUnavailable(engine: EngineName): Promise<string | null> {
  const missing = whyNotInstalled(engine, isInstalled);
  if (missing !== null) return missing;
  try {
    await adapters[engine]();
    return null;
  } catch (error) {
    return whyNotLoaded(engine, firstLineOf(error));
  }
}

/** NVIDIA's driver, and Windows's below WSL. */
const cudaDeviceFiles = ["/dev/nvidiactl", "/dev/dxg"];

/**
 * Whether TensorFlow sees a GPU. To be called in the engine thread, since it loads TensorFlow (0.5 s, 300 MiB), which it
 * does only on a machine with such a driver.
 */
export async function probeCuda(): Promise<CudaProbe> {
  if (!cudaDeviceFiles.some((path) => existsSync(path))) return { isUsable: false, why: null };
  const reason = await whyUnavailable("tensorflow");
  if (reason !== null) return { isUsable: false, why: `tensorflow cannot run: ${reason}` };
  const { seesGpu } = await import("./tensorflow.js");
  return seesGpu() ? { isUsable: true } : { isUsable: false, why: "TensorFlow sees none" };
}

/**
 * Loads the verified weights into an engine; the caller closes it. To be called in the engine thread, since it loads
 * native code. Throws what `readModel` throws, and ENGINE_UNAVAILABLE where the engine's package does not load or
 * refuses the model.
 */
export async function openEngine({ engine, modelDir, modelSha256, engineThreads }: OpenEngineOptions): Promise<Engine> {
  const { manifest, weights } = await readModel(modelDir, modelSha256);
  const { spec, preprocess } = findModel(manifest.name);
  try {
    const open = await adapters[engine]();
    return await open({ spec, preprocess, weights }, { threads: engineThreads });
  } catch (error) {
    throw new LabelmillError("ENGINE_UNAVAILABLE", { engine, reason: messageOf(error) }, { cause: error });
  }
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** The rest of what a package says is advice of its own, which may not fit here. */
function firstLineOf(thrown: unknown): string {
  const [first = ""] = (thrown instanceof Error ? thrown.message : String(thrown)).split("\n");
  return first.replace(/[\s.]+$/, "");
}
