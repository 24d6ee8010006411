/**
 * The `webgpu` engine: TensorFlow.js on WebGPU, which the `webgpu` package (Dawn) brings to Node on any GPU with a driver
 * for Vulkan, Metal or Direct3D 12. Both packages are optional. A software driver works too, slowly, and is named as such
 * by what it calls itself: `webgpu/swiftshader`.
 */
import { getBackend, setBackend } from "@tensorflow/tfjs-core";
import { create, type Gpu, globals } from "webgpu";
import type { GraphParts } from "../graph-parts.js";
import { layersOf } from "../spec.js";
import type { Engine } from "./engine.js";
import { buildTfjsNetwork } from "./tfjs-network.js";

/**
 * Opens the network on the fastest adapter. The caller closes the engine. Throws where there is no adapter, or where
 * TensorFlow.js would run on another backend instead, which it does without an error.
 */
export async function openWebgpuEngine(parts: GraphParts): Promise<Engine> {
  const gpu = create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new Error("there is no driver for Vulkan, Metal or Direct3D 12, or it found no GPU");
  exposeGpu(gpu);
  await import("@tensorflow/tfjs-backend-webgpu");
  const isStarted = await setBackend("webgpu");
  if (!isStarted || getBackend() !== "webgpu") {
    throw new Error(`TensorFlow.js could not start its WebGPU backend, and would run on ${getBackend()}`);
  }
  const network = buildTfjsNetwork(parts);
  const { architecture, vendor, isFallbackAdapter } = adapter.info;
  return {
    name: `webgpu/${architecture || vendor || "unnamed"}`,
    embeddingWidth: layersOf(parts.spec).embeddingWidth,
    classes: parts.spec.classes,
    isOnGpu: !isFallbackAdapter,
    infer: network.infer,
    // The device stays open with TensorFlow.js, which takes its backend only once in a process.
    close: async () => network.dispose(),
  };
}

/** As in a browser, where TensorFlow.js looks for them. Node has a `navigator` from version 21 on. */
function exposeGpu(gpu: Gpu): void {
  Object.assign(globalThis, globals);
  const { navigator = {} } = globalThis as { navigator?: object };
  Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
