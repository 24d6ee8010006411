/**
 * Which engine runs: what `--engine` says, or what `auto` finds. Pure, and it loads no engine: what a machine has, and
 * whether an engine can run on it, is told to it. The order of `auto` is that of measured speed on CPUs, GPUs before them
 * (docs/decisions/0012-providers-of-onnx-runtime.md).
 */
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
  /** Whether it is worth asking for an engine that needs a GPU. */
  hasGpuFor(engine: EngineName): Promise<boolean>;
  /** Why an engine cannot run here, null where it can. */
  whyNot(engine: EngineName): Promise<string | null>;
}

/** The engines that `auto` may take on a GPU, best first. `onnx-webgpu` does not say whether its GPU is a software driver. */
const gpuOrder: readonly EngineName[] = ["onnx-cuda", "webgpu"];
/** Those on a CPU, fastest first. */
const cpuOrder: readonly EngineName[] = ["onnx", "wasm"];

/** Whether `auto` takes `engine` for the sake of a GPU. */
export const isGpuEngine = (engine: EngineName): boolean => gpuOrder.includes(engine);

/** Whether `engine` runs on CUDA, where one GPU of several can be given to a process. */
export const isCudaEngine = (engine: EngineName): boolean => engine === "onnx-cuda";

/** Engines that have a name, so that the refusal can say this, and no adapter. */
const planned: readonly EngineName[] = ["tensorflow"];

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

/**
 * Chooses an engine. Throws ENGINE_UNAVAILABLE where the engine that was asked for cannot run, or none can: an explicit
 * wish is never replaced by another engine, and `auto` says which GPU engine it had to pass over.
 */
export async function chooseEngine(asked: EngineRequest, { hasGpuFor, whyNot }: EngineProbes): Promise<EngineChoice> {
  if (asked !== "auto") {
    const reason = await whyNot(asked);
    if (reason !== null) throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: asked, reason });
    return { engine: asked, why: `--engine ${asked}` };
  }
  const refused: string[] = [];
  for (const engine of [...gpuOrder, ...cpuOrder]) {
    if (!(await hasGpuFor(engine))) continue;
    const reason = await whyNot(engine);
    const merit = isGpuEngine(engine) ? "it runs on the GPU" : "the fastest CPU engine here";
    if (reason === null) return { engine, why: [merit, ...refused].join("; ") };
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
 * Why `engine` cannot be used for want of packages, with the command that installs them; null where all are there.
 * `isThere` gets their names.
 */
export function whyNotInstalled(engine: EngineName, isThere: (name: string) => boolean): string | null {
  const missing = packages[engine].filter((each) => !isThere(nameOf(each)));
  const lacking = missing.length === 0 ? "" : `${missing.map(nameOf).join(" and ")} not installed`;
  const others = cpuOrder.filter((name) => packages[name].every((each) => !missing.includes(each)));
  const otherwise = `take --engine ${others.filter((name) => name !== engine).join(" or ")}`;
  if (planned.includes(engine)) return `${lacking && `${lacking}, and `}this version cannot use it yet; ${otherwise}`;
  return lacking === "" ? null : `${lacking}; run \`npm install ${missing.join(" ")}\`, or ${otherwise}`;
}

/** Of `name@version`; the name itself may begin with an @. */
const nameOf = (installed: string): string => installed.slice(0, installed.lastIndexOf("@"));
