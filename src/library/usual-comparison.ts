import { fileURLToPath } from "node:url";
import { type EngineName, engineNames } from "../shared/engine-names.js";
import type { AbsentEngine } from "../worker/compare-engines.js";
import { needsGpu } from "../worker/model/engine-choice.js";
import { hasGpuFor } from "../worker/model/gpu-devices.js";

/** The photos that come with the package. Compiled, this file is dist/src/library/usual-comparison.js. */
export const examplePhotos = fileURLToPath(new URL("../../../examples/photos", import.meta.url));

/**
 * The engines that are compared where none is named: without a GPU not those that need one. WebGPU has at best a software
 * driver then, which takes half a minute an image: it runs if it is named.
 */
export async function usualEngines(): Promise<{ engines: readonly EngineName[]; leftOut: readonly AbsentEngine[] }> {
  const engines: EngineName[] = [];
  const leftOut: AbsentEngine[] = [];
  for (const engine of engineNames) {
    if (!needsGpu(engine) || (await hasGpuFor(engine))) engines.push(engine);
    else leftOut.push({ asked: engine, precision: "fp32", reason: lacksGpu(engine) });
  }
  return { engines, leftOut };
}

function lacksGpu(engine: EngineName): string {
  if (engine === "onnx-cuda") return "this machine has no NVIDIA GPU";
  return "this machine has no GPU; if it is named, it tries a software driver";
}
