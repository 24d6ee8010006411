/**
 * The `webgpu` engine: TensorFlow.js on WebGPU, which the `webgpu` package (Dawn) brings to Node on any GPU with a driver
 * for Vulkan, Metal or Direct3D 12. Both packages are optional. A software driver works too, slowly, and is named as such
 * by what it calls itself: `webgpu/swiftshader`.
 */
import { backend, getBackend, setBackend } from "@tensorflow/tfjs-core";
import { create, type Gpu, type GpuDevice, globals } from "webgpu";
import type { GraphParts } from "../graph-parts.js";
import { layersOf } from "../spec.js";
import type { Engine } from "./engine.js";
import { buildTfjsNetwork } from "./tfjs-network.js";

/** One a process: TensorFlow.js keeps the device of the first, and Dawn ends the process where that one is collected. */
let gpu: Gpu | undefined;

/**
 * Opens the network on the fastest adapter. The caller closes the engine. Throws where there is no adapter, or where
 * TensorFlow.js would run on another backend instead, which it does without an error.
 */
export async function openWebgpuEngine(parts: GraphParts): Promise<Engine> {
  gpu ??= create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new Error("there is no driver for Vulkan, Metal or Direct3D 12, or it found no GPU");
  exposeGpu(gpu);
  await import("@tensorflow/tfjs-backend-webgpu");
  const isStarted = await setBackend("webgpu");
  if (!isStarted || getBackend() !== "webgpu") {
    throw new Error(`TensorFlow.js could not start its WebGPU backend, and would run on ${getBackend()}`);
  }
  const { device } = backend() as unknown as { readonly device: GpuDevice };
  const network = await watched(device, async () => buildTfjsNetwork(parts));
  const { architecture, vendor, isFallbackAdapter } = adapter.info;
  return {
    name: `webgpu/${architecture || vendor || "unnamed"}`,
    embeddingWidth: layersOf(parts.spec).embeddingWidth,
    classes: parts.spec.classes,
    isOnGpu: !isFallbackAdapter,
    infer: (pixels, n) => watched(device, () => network.infer(pixels, n)),
    // The device stays open with TensorFlow.js, which takes its backend only once in a process.
    close: async () => network.dispose(),
  };
}

/** Pushed in this order; an error goes to the last scope that takes its kind. */
const scopes = ["internal", "validation", "out-of-memory"] as const;

/**
 * What `work` gives, unless the device reports an error of it: WebGPU skips what it cannot do, with other numbers and no
 * exception, and TensorFlow.js 4.22 does not ask. A buffer beyond the device's limits is an error of validation, and so is
 * all that uses it, so any error counts as memory that is not there: a smaller batch may do without.
 */
async function watched<T>(device: GpuDevice, work: () => Promise<T>): Promise<T> {
  for (const scope of scopes) device.pushErrorScope(scope);
  let result: T;
  let errors: readonly ({ readonly message: string } | null)[] = [];
  try {
    result = await work();
  } finally {
    errors = await Promise.all(scopes.map(() => device.popErrorScope()));
  }
  const error = errors.find((each) => each !== null);
  if (error === undefined || error === null) return result;
  throw new Error(`WebGPU is out of memory, or of its limits: ${error.message.split("\n")[0]}`);
}

/** As in a browser, where TensorFlow.js looks for them. Node has a `navigator` from version 21 on. */
function exposeGpu(gpu: Gpu): void {
  Object.assign(globalThis, globals);
  const { navigator = {} } = globalThis as { navigator?: object };
  Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
