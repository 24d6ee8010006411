/**
 * The child's side of the engine thread: starts it, gives it batches, gets answers. The thread exists because a model call
 * blocks its thread (1.46 s for a batch of 32 in onnxruntime-node), and decoding has to go on meanwhile.
 */
import { Worker } from "node:worker_threads";
import { errorFromAfar, LabelmillError, messageOf, type RunErrorCode } from "../../shared/errors.js";
import { hearThread, type ThreadWords } from "../hear-thread.js";
import type { TopK } from "../model/top-k.js";
import type { Outcome } from "../outcome.js";
import type { LoweredLimit } from "./fit-batches.js";
import type { ComputeSettings, EngineReport } from "./protocol.js";

/** What the thread is told at its start. */
export type EngineThreadSettings = Pick<
  ComputeSettings,
  | "engine"
  | "modelDir"
  | "modelSha256"
  | "precision"
  | "calibration"
  | "observe"
  | "batchSize"
  | "engineThreads"
  | "withLogits"
>;

/** A batch for the thread: `[n, 224, 224, 3]` uint8 RGB at the start of `pixels`, which is transferred. */
export interface BatchInput {
  readonly pixels: ArrayBuffer;
  /** Classes wanted of each of the `n` images. */
  readonly topK: readonly number[];
}

/** The thread's answer to one batch. */
export interface BatchOutput {
  /** The memory of the input, returned. */
  readonly pixels: ArrayBuffer;
  /** `[n, embeddingWidth]`. */
  readonly embeddings: Float32Array;
  /** `[n, classes]` where the settings ask for them, else null. */
  readonly logits: Float32Array | null;
  /** One an image; a failure is ENGINE_OOM, and its embedding and logits are zeros. */
  readonly top: readonly Outcome<TopK>[];
  /** Each halving of the batch that memory took, in order. */
  readonly lowered: readonly LoweredLimit[];
  /** Time of the model call, in milliseconds. */
  readonly inferMs: number;
}

export type FromEngineThread =
  | { readonly type: "ready"; readonly report: EngineReport }
  | { readonly type: "output"; readonly output: BatchOutput }
  | { readonly type: "fatal"; readonly code: RunErrorCode; readonly message: string };

export interface EngineThread {
  readonly report: EngineReport;
  /** One call at a time. Rejects with a LabelmillError when the engine cannot work; it never will again. */
  infer(input: BatchInput): Promise<BatchOutput>;
}

/** Starts the thread and waits until it has run the model once; rejects with the LabelmillError that says why it cannot. */
export async function startEngineThread(settings: EngineThreadSettings): Promise<EngineThread> {
  const worker = new Worker(new URL("./engine-thread.js", import.meta.url), { workerData: settings });
  const thread = hearThread<FromEngineThread>(worker);
  const first = await nextMessage(thread);
  if (first.type !== "ready") throw engineFailed(`expected the engine to report ready, got ${first.type}`);
  return {
    report: first.report,
    async infer(input) {
      worker.postMessage(input, [input.pixels]);
      const message = await nextMessage(thread);
      if (message.type !== "output") throw engineFailed(`expected the engine's output, got ${message.type}`);
      return message.output;
    },
  };
}

function engineFailed(reason: string): LabelmillError {
  return new LabelmillError("ENGINE_FAILED", { reason });
}

/** The thread's next word, with its death and its fatal message as rejections. */
async function nextMessage(thread: ThreadWords<FromEngineThread>): Promise<FromEngineThread> {
  const message = await thread.next().catch((error: unknown) => {
    throw engineFailed(messageOf(error));
  });
  if (message.type === "fatal") throw errorFromAfar(message.code, message.message);
  return message;
}
