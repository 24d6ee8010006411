/** Entry of a test's thread: a network in a WebAssembly memory that is nearly full, before, at and after its end. */
import { parentPort } from "node:worker_threads";
import { backend, memory, setBackend } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { buildTfjsNetwork } from "../../../../src/worker/model/engines/tfjs-network.js";
import { guardWasmMemory } from "../../../../src/worker/model/engines/wasm-memory.js";
import { tinyImageBytes, tinyParts, tinyPixels } from "../../../support/definition.js";

export interface WasmFullAnswer {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly errors: readonly string[];
  readonly tensorCounts: readonly number[];
}

/** Of the 4 GiB; the system gives pages only where they are written to. */
const takenBytes = 4_200_000_000;
const many = 8_000;

await setBackend("wasm");
guardWasmMemory();
const network = buildTfjsNetwork(tinyParts());
const tensorCounts: number[] = [];
const errors: string[] = [];

async function logits(): Promise<number[]> {
  const output = await network.infer(tinyPixels, 3);
  tensorCounts.push(memory().numTensors);
  return [...output.logits];
}

async function fill(n: number): Promise<void> {
  await network.infer(new Uint8Array(n * tinyImageBytes), n).catch((error: Error) => errors.push(error.message));
  tensorCounts.push(memory().numTensors);
}

const before = await logits();
(backend() as unknown as { wasm: { _malloc(bytes: number): number } }).wasm._malloc(takenBytes);
await fill(many);
await fill(many);
const after = await logits();
parentPort?.postMessage({ before, after, errors, tensorCounts } satisfies WasmFullAnswer);
