/**
 * The `wasm` engine: TensorFlow.js on its WebAssembly backend, wherever Node runs and without native code. Each of its
 * threads holds the whole network in a memory of its own (360 MiB for ResNet-50) and takes an equal share of
 * every batch. This file loads no TensorFlow.js itself.
 */
import { Worker } from "node:worker_threads";
import { hearThread } from "../../hear-thread.js";
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
  const opened = Array.from({ length: Math.min(threads, usualCpuBatchSize) }, () => startThread(workerData));
  const close = async () => {
    await Promise.all(opened.map((thread) => thread.close()));
  };
  try {
    const backends = await Promise.all(opened.map((thread) => thread.backend()));
    const { classes } = parts.spec;
    const { embeddingWidth } = layersOf(parts.spec);
    const share = createSharedCopy();
    const infer = (pixels: Uint8Array, n: number) => inferInShares(opened, share(pixels), n);
    const name = [...new Set(backends)].join("+");
    return { name, embeddingWidth, classes, usualBatchSize: usualCpuBatchSize, infer, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One of the threads. */
interface WasmThread {
  /** To be asked first: what it runs on. */
  backend(): Promise<string>;
  infer(input: WasmInput): Promise<EngineOutput>;
  close(): Promise<unknown>;
}

function startThread(workerData: GraphParts): WasmThread {
  const worker = new Worker(new URL("./wasm-thread.js", import.meta.url), { workerData });
  const words = hearThread<FromWasmThread>(worker);
  const next = async <T extends FromWasmThread["type"]>(type: T) => {
    const message = await words.next();
    if (message.type === "failed") throw new Error(message.reason);
    if (message.type !== type) throw new Error(`Expected a thread's ${type}, got ${message.type}`);
    return message as Extract<FromWasmThread, { type: T }>;
  };
  return {
    backend: async () => (await next("ready")).backend,
    async infer(input) {
      worker.postMessage(input);
      return (await next("output")).output;
    },
    close: () => worker.terminate(),
  };
}

async function inferInShares(threads: readonly WasmThread[], pixels: Uint8Array, n: number): Promise<EngineOutput> {
  const imageBytes = pixels.length / n;
  const busy = threads.slice(0, n);
  const starts = busy.map((_, share) => Math.round((share * n) / busy.length));
  const answers = await Promise.allSettled(
    busy.map((thread, share) => {
      const [from, to] = [starts[share] as number, starts[share + 1] ?? n];
      return thread.infer({ pixels: pixels.subarray(from * imageBytes, to * imageBytes), n: to - from });
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

/**
 * Gives copies in memory that the threads see, the same each time: memory of its own for every batch, handed from thread to
 * thread, is freed only when V8 collects, by steps of 32 MiB.
 */
function createSharedCopy(): (pixels: Uint8Array) => Uint8Array {
  let memory = new Uint8Array(new SharedArrayBuffer(0));
  return (pixels) => {
    if (memory.length < pixels.length) memory = new Uint8Array(new SharedArrayBuffer(pixels.length));
    memory.set(pixels);
    return memory.subarray(0, pixels.length);
  };
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
