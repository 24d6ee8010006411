/**
 * The `wasm` engine: TensorFlow.js on its WebAssembly backend, wherever Node runs and without native code. Each of its
 * threads holds the whole network in a memory of its own (360 MiB for ResNet-50) and takes an equal share of
 * every batch. This file loads no TensorFlow.js itself.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { GraphParts } from "../graph-parts.js";
import { layersOf } from "../spec.js";
import type { FoldedWeights } from "../weights/tensor.js";
import { type Engine, type EngineOutput, usualCpuBatchSize } from "./engine.js";
import type { FromWasmThread, WasmInput } from "./wasm-thread.js";

export interface WasmOptions {
  /** Threads that share a batch; `usualCpuBatchSize` at most are started, as more would hold a network and be given no image. */
  readonly threads: number;
}

/** Opens the network in every thread. The caller closes the engine; it copies the weights and keeps no reference to them. */
export async function openWasmEngine(parts: GraphParts, { threads }: WasmOptions): Promise<Engine> {
  const workerData = { ...parts, weights: shareWeights(parts.weights) };
  const entry = new URL("./wasm-thread.js", import.meta.url);
  const workers = Array.from({ length: Math.min(threads, usualCpuBatchSize) }, () => new Worker(entry, { workerData }));
  const close = async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  };
  try {
    const backends = await Promise.all(workers.map(readBackend));
    const { classes } = parts.spec;
    const { embeddingWidth } = layersOf(parts.spec);
    const infer = (pixels: Uint8Array, n: number) => inferInShares(workers, pixels, n);
    const name = [...new Set(backends)].join("+");
    return { name, embeddingWidth, classes, usualBatchSize: usualCpuBatchSize, infer, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function inferInShares(workers: readonly Worker[], pixels: Uint8Array, n: number): Promise<EngineOutput> {
  const imageBytes = pixels.length / n;
  const busy = workers.slice(0, n);
  const starts = busy.map((_, share) => Math.round((share * n) / busy.length));
  const answers = await Promise.allSettled(
    busy.map((worker, share) => {
      const [from, to] = [starts[share] as number, starts[share + 1] ?? n];
      return inferIn(worker, { pixels: pixels.slice(from * imageBytes, to * imageBytes), n: to - from });
    }),
  );
  // Only now, when every thread has answered: what comes next from one is the answer to what it is asked next.
  const outputs = answers.map((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  });
  return {
    embeddings: concat(outputs.map(({ embeddings }) => embeddings)),
    logits: concat(outputs.map(({ logits }) => logits)),
  };
}

async function inferIn(worker: Worker, input: WasmInput): Promise<EngineOutput> {
  worker.postMessage(input, [input.pixels.buffer as ArrayBuffer]);
  const message = await nextMessage(worker);
  if (message.type !== "output") throw new Error(`Expected a thread's output, got ${message.type}`);
  return message.output;
}

async function readBackend(worker: Worker): Promise<string> {
  const message = await nextMessage(worker);
  if (message.type !== "ready") throw new Error(`Expected a thread to be ready, got ${message.type}`);
  return message.backend;
}

/** Rejects where the thread says that it failed, or ends. */
async function nextMessage(worker: Worker): Promise<FromWasmThread> {
  const heard = new AbortController();
  const { signal } = heard;
  const ended = once(worker, "exit", { signal }).then(([code]) => {
    throw new Error(`a thread of the wasm engine ended with code ${code}`);
  });
  try {
    const [message] = (await Promise.race([once(worker, "message", { signal }), ended])) as [FromWasmThread];
    if (message.type === "failed") throw new Error(message.reason);
    return message;
  } finally {
    heard.abort();
  }
}

/** A copy in shared memory, so that the threads are not given one each. */
function shareWeights(weights: FoldedWeights): FoldedWeights {
  const shared = [...weights.values()].map(({ name, shape, data }) => {
    const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
    copy.set(data);
    return [name, { name, shape, data: copy }] as const;
  });
  return new Map(shared);
}

function concat(arrays: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const array of arrays) {
    all.set(array, offset);
    offset += array.length;
  }
  return all;
}
