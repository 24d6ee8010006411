/**
 * Which engine runs: what `--engine` says, or what `auto` finds. Pure, and it loads no engine: what a machine has, and
 * whether an engine can run on it, is told to it. The order of `auto` is that of measured speed on CPUs, GPUs before them
 * (docs/decisions/0013-tensorflow-from-the-wheel.md).
 */
import { fileURLToPath } from "node:url";
import type { EngineName, EngineRequest } from "../../shared/engine-names.js";
import { LabelmillError } from "../../shared/errors.js";
import type { Precision } from "../../shared/precision.js";

/** An engine, and why it. */
export interface EngineChoice {
  readonly engine: EngineName;
  readonly why: string;
}

/** What of this machine a choice depends on. Asked only as far as needed, since answers may load native code. */
export interface EngineProbes {
  /** Whether this machine has a GPU that `engine` may run on. */
  hasGpuFor(engine: EngineName): Promise<boolean>;
  /** Why an engine cannot run on that GPU, null where it can. */
  whyNotOnGpu(engine: EngineName): Promise<string | null>;
  /** Why an engine cannot run here, on whatever device; null where it can. */
  whyNot(engine: EngineName): Promise<string | null>;
}

/** The engines that `auto` may take on a GPU, best first. `onnx-webgpu` does not say whether its GPU is a software driver. */
const gpuOrder: readonly EngineName[] = ["tensorflow", "onnx-cuda", "webgpu"];
/** Those on a CPU, fastest first. */
const cpuOrder: readonly EngineName[] = ["onnx", "tensorflow", "wasm"];

/** Engines that without a GPU do not run, or run in software, slower than any other. */
const gpuOnly: readonly EngineName[] = ["onnx-cuda", "webgpu", "onnx-webgpu"];
/** Whether `engine` is worth nothing without a GPU. */
export const needsGpu = (engine: EngineName): boolean => gpuOnly.includes(engine);

/** Those whose process can be given one of several GPUs. */
const onCuda: readonly EngineName[] = ["tensorflow", "onnx-cuda"];
/** Whether `engine` can run on CUDA. */
export const isCudaEngine = (engine: EngineName): boolean => onCuda.includes(engine);

/** Those that this package brings with it. */
const bundled: readonly EngineName[] = ["onnx", "wasm"];

const onnxRuntime = "onnxruntime-node@1.30.0";
/** The npm packages that each engine needs, as `npm install` takes them. */
const packages: Readonly<Record<EngineName, readonly string[]>> = {
  onnx: [onnxRuntime],
  "onnx-cuda": [onnxRuntime],
  "onnx-webgpu": [onnxRuntime],
  wasm: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0"],
  tensorflow: ["@tensorflow/tfjs-node-gpu@4.22.0"],
  webgpu: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.6.2"],
};

/** Compiled, this file is dist/src/worker/model/engine-choice.js. */
const buildScript = fileURLToPath(new URL("../../../../scripts/build-tensorflow.mjs", import.meta.url));

/** Builds what npm does not bring: its own script fetches a TensorFlow of 2022 from elsewhere, for CUDA 11. */
const buildCommands: Readonly<Partial<Record<EngineName, string>>> = { tensorflow: `node ${buildScript}` };

/**
 * Chooses an engine. Throws ENGINE_UNAVAILABLE where the engine that was asked for cannot run, or none can: an explicit
 * wish is never replaced by another engine, and `auto` says which engines on a GPU it had to pass over.
 */
export async function chooseEngine(asked: EngineRequest, probes: EngineProbes): Promise<EngineChoice> {
  const { hasGpuFor, whyNotOnGpu, whyNot } = probes;
  if (asked !== "auto") {
    const reason = await whyNot(asked);
    if (reason !== null) throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: asked, reason });
    return { engine: asked, why: `--engine ${asked}` };
  }
  const refused: string[] = [];
  for (const engine of gpuOrder) {
    if (!(await hasGpuFor(engine))) continue;
    const reason = await whyNotOnGpu(engine);
    if (reason === null) return { engine, why: ["it runs on the GPU", ...refused].join("; ") };
    refused.push(`${engine} cannot run on the GPU: ${reason}`);
  }
  for (const engine of cpuOrder) {
    const reason = await whyNot(engine);
    if (reason === null) return { engine, why: ["the fastest CPU engine here", ...refused].join("; ") };
    refused.push(`${engine} cannot run: ${reason}`);
  }
  throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: "auto", reason: refused.join("; ") });
}

/** Why `engine` cannot compute in `precision`, and what can; null where it can. */
export function whyNoPrecision(engine: EngineName, precision: Precision): string | null {
  if (precision === "fp32" || engine === "onnx") return null;
  return `it computes in fp32 alone, not in ${precision}; take --engine onnx or --precision fp32`;
}

/**
 * Why `engine` cannot be used for want of packages, with the commands that install them; null where all are there.
 * `isThere` gets their names.
 */
export function whyNotInstalled(engine: EngineName, isThere: (name: string) => boolean): string | null {
  const missing = packages[engine].filter((each) => !isThere(nameOf(each)));
  if (missing.length === 0) return null;
  const build = buildCommands[engine];
  // An install script that would fetch the wrong library is not run.
  const install = `npm install ${build === undefined ? "" : "--ignore-scripts "}${missing.join(" ")}`;
  const commands = [install, ...(build === undefined ? [] : [build])].map((command) => `\`${command}\``).join(" and ");
  const otherwise = bundled.filter((name) => packages[name].every((each) => !missing.includes(each))).join(" or ");
  return `${missing.map(nameOf).join(" and ")} not installed; run ${commands}, or take --engine ${otherwise}`;
}

/** Why `engine`, whose packages are there, cannot be used where loading them failed for `reason`, and what to do. */
export function whyNotLoaded(engine: EngineName, reason: string): string {
  const build = buildCommands[engine];
  return `its package does not load: ${reason}${build === undefined ? "" : `; \`${build}\` builds its addon`}`;
}

/** Of `name@version`; the name itself may begin with an @. */
const nameOf = (installed: string): string => installed.slice(0, installed.lastIndexOf("@"));
