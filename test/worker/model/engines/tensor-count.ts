/** Entry of a test's thread: how many tensors TensorFlow.js holds after each of some batches, and after the network's end. */
import { parentPort, workerData } from "node:worker_threads";
import { memory, setBackend } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { buildTfjsNetwork } from "../../../../src/worker/model/engines/tfjs-network.js";
import { tinyImageBytes, tinyParts, tinyPixels } from "../../../support/definition.js";

const counts: number[] = [];
await setBackend("wasm");
const network = buildTfjsNetwork(tinyParts());
for (let batch = 0; batch < (workerData as number); batch += 1) {
  const n = 1 + (batch % 3);
  await network.infer(tinyPixels.slice(0, n * tinyImageBytes), n);
  counts.push(memory().numTensors);
}
// The wrong length for three images: what was made until the error must be freed as well.
await network.infer(tinyPixels.slice(3), 3).catch(() => counts.push(memory().numTensors));
network.dispose();
parentPort?.postMessage({ counts, left: memory().numTensors });
