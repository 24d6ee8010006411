/**
 * The `tensorflow` engine: TensorFlow.js on native TensorFlow, on a CUDA GPU where TensorFlow sees one and on the CPU
 * otherwise. Its package is optional, and its addon is built by scripts/build-tensorflow.mjs. The model call blocks its
 * thread. TensorFlow's threads are set by the environment of the process, see `engine-env`.
 */
import util from "node:util";
import { backend, getBackend, setBackend } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-node-gpu";
import type { GraphParts } from "../graph-parts.js";
import { layersOf } from "../spec.js";
import { type Engine, usualCpuBatchSize } from "./engine.js";
import { buildTfjsNetwork } from "./tfjs-network.js";

/**
 * Opens the network on the device that TensorFlow found when it was loaded; `name` says which kind. The caller closes the
 * engine. Throws where TensorFlow.js would run on another backend instead, which it does without an error.
 */
export async function openTensorflowEngine(parts: GraphParts): Promise<Engine> {
  restoreUtil();
  const isStarted = await setBackend("tensorflow");
  if (!isStarted || getBackend() !== "tensorflow") {
    throw new Error("TensorFlow.js could not start its native backend, and would take another");
  }
  const network = buildTfjsNetwork(parts);
  return {
    name: `tensorflow/${seesGpu() ? "gpu" : "cpu"}`,
    embeddingWidth: layersOf(parts.spec).embeddingWidth,
    classes: parts.spec.classes,
    isOnGpu: seesGpu(),
    // Each shape has its plans made and its memory taken at its first call.
    isShapeBound: seesGpu(),
    ...(seesGpu() ? {} : { usualBatchSize: usualCpuBatchSize }),
    infer: network.infer,
    // TensorFlow itself stays loaded: it cannot be started twice in a process.
    close: async () => network.dispose(),
  };
}

/** Whether TensorFlow, once loaded, has listed a GPU among its devices; it then keeps tensors and runs operators there. */
function seesGpu(): boolean {
  return getBackend() === "tensorflow" && (backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true;
}

/** Version 4.22 of the package calls it in every operator, and Node has none from version 23 on. */
function restoreUtil(): void {
  const removed = util as { isNullOrUndefined?: (value: unknown) => boolean };
  removed.isNullOrUndefined ??= (value) => value === null || value === undefined;
}
