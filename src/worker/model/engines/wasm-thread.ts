/**
 * Entry of one thread of the `wasm` engine: TensorFlow.js on its WebAssembly backend, which has no threads of its own in
 * Node. Started by `wasm` with the network's parts as `workerData`; it answers one message at a time until it is ended.
 */
import { parentPort, workerData } from "node:worker_threads";
import { env, getBackend, setBackend } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { messageOf } from "../../../shared/errors.js";
import type { GraphParts } from "../graph-parts.js";
import type { EngineOutput } from "./engine.js";
import { buildTfjsNetwork, type TfjsNetwork } from "./tfjs-network.js";
import { guardWasmMemory } from "./wasm-memory.js";

/** Images for a thread: `[n, size, size, 3]` uint8 RGB, in shared memory. */
export interface WasmInput {
  readonly pixels: Uint8Array;
  readonly n: number;
}

export type FromWasmThread =
  /** `backend` is what TensorFlow.js says that it runs on: `wasm/simd`. */
  | { readonly type: "ready"; readonly backend: string }
  | { readonly type: "output"; readonly output: EngineOutput }
  /** It could not start, or this call failed. */
  | { readonly type: "failed"; readonly reason: string };

function post(message: FromWasmThread, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

const fail = (thrown: unknown): void => post({ type: "failed", reason: messageOf(thrown) });

async function start(parts: GraphParts): Promise<void> {
  // Resolves with false, and another backend stays current, where this one cannot start.
  if (!(await setBackend("wasm"))) throw new Error("TensorFlow.js could not start its WebAssembly backend");
  guardWasmMemory();
  const hasSimd = await env().getAsync("WASM_HAS_SIMD_SUPPORT");
  const network = buildTfjsNetwork(parts);
  parentPort?.on("message", (input: WasmInput) => answer(network, input).catch(fail));
  post({ type: "ready", backend: `${getBackend()}/${hasSimd ? "simd" : "scalar"}` });
}

async function answer(network: TfjsNetwork, { pixels, n }: WasmInput): Promise<void> {
  const output = await network.infer(pixels, n);
  post({ type: "output", output }, [output.embeddings.buffer as ArrayBuffer, output.logits.buffer as ArrayBuffer]);
}

start(workerData as GraphParts).catch(fail);
