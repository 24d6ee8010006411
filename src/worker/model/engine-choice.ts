/**
 * Which engine runs: what `--engine` says, or what `auto` finds. Pure, and it loads no engine: whether one can run is told
 * to it. The order of `auto` is that of measured speed (docs/decisions/0010-the-order-of-engines.md).
 */
import type { EngineName, EngineRequest } from "../../shared/engine-names.js";
import { LabelmillError } from "../../shared/errors.js";
import type { Precision } from "../../shared/precision.js";

/** An engine, and why it. */
export interface EngineChoice {
  readonly engine: EngineName;
  readonly why: string;
}

/** Those that `auto` may take, fastest first. A GPU that was not asked for is not used by this version. */
const autoOrder: readonly EngineName[] = ["onnx", "wasm"];

/** Engines that have a name, so that the refusal can say this, and no adapter. */
const planned: readonly EngineName[] = ["tensorflow"];

/** The npm packages that each engine needs, as `npm install` takes them. */
const packages: Readonly<Record<EngineName, readonly string[]>> = {
  onnx: ["onnxruntime-node@1.30.0"],
  wasm: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0"],
  tensorflow: ["@tensorflow/tfjs-node-gpu@4.22.0"],
  webgpu: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.6.2"],
};

/**
 * Chooses an engine; `whyNot` tells why an engine cannot run here, null where it can. Throws ENGINE_UNAVAILABLE where the
 * engine that was asked for cannot, or none can: an explicit wish is never replaced by another engine.
 */
export async function chooseEngine(
  asked: EngineRequest,
  whyNot: (engine: EngineName) => Promise<string | null>,
): Promise<EngineChoice> {
  if (asked !== "auto") {
    const reason = await whyNot(asked);
    if (reason !== null) throw new LabelmillError("ENGINE_UNAVAILABLE", { engine: asked, reason });
    return { engine: asked, why: `--engine ${asked}` };
  }
  const refused: string[] = [];
  for (const engine of autoOrder) {
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
 * Why `engine` cannot be used for want of packages, with the command that installs them; null where all are there.
 * `isThere` gets their names.
 */
export function whyNotInstalled(engine: EngineName, isThere: (name: string) => boolean): string | null {
  const missing = packages[engine].filter((each) => !isThere(nameOf(each)));
  const lacking = missing.length === 0 ? "" : `${missing.map(nameOf).join(" and ")} not installed`;
  const otherwise = `take --engine ${autoOrder.filter((name) => name !== engine).join(" or ")}`;
  if (planned.includes(engine)) return `${lacking && `${lacking}, and `}this version cannot use it yet; ${otherwise}`;
  return lacking === "" ? null : `${lacking}; run \`npm install ${missing.join(" ")}\`, or ${otherwise}`;
}

/** Of `name@version`; the name itself may begin with an @. */
const nameOf = (installed: string): string => installed.slice(0, installed.lastIndexOf("@"));
