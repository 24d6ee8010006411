/**
 * Which engine runs: what `--engine` says, or what `auto` finds. Pure, and it loads no engine: whether one can run is told
 * to it. The order of `auto` is that of measured speed (docs/decisions/0008-the-order-of-engines.md).
 */
import { type EngineName, type EngineRequest, engineNames } from "../../shared/engine-names.js";
import { LabelmillError } from "../../shared/errors.js";

/** An engine, and why it. */
export interface EngineChoice {
  readonly engine: EngineName;
  readonly why: string;
}

/** Those that `auto` may take, fastest first. A GPU that was not asked for is not used by this version. */
const autoOrder: readonly EngineName[] = ["onnx", "wasm"];

/** The npm packages that each engine needs, as `npm install` takes them. */
const packages: Readonly<Record<EngineName, readonly string[]>> = {
  onnx: ["onnxruntime-node@1.30.0"],
  wasm: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0"],
  tensorflow: ["@tensorflow/tfjs-node-gpu@4.22.0"],
  webgpu: ["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.4.0"],
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

/** Why `engine` lacks a package, with the command that installs it; null where all are there. `isThere` gets their names. */
export function missingPackage(engine: EngineName, isThere: (name: string) => boolean): string | null {
  const missing = packages[engine].filter((each) => !isThere(each.slice(0, each.lastIndexOf("@"))));
  if (missing.length === 0) return null;
  const others = engineNames.filter((name) => name !== engine && autoOrder.includes(name));
  const names = missing.map((each) => each.slice(0, each.lastIndexOf("@"))).join(" and ");
  return `${names} not installed; run \`npm install ${missing.join(" ")}\`, or take --engine ${others.join(" or ")}`;
}
