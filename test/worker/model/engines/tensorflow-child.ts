/**
 * Entry of a test's process, as TensorFlow stays loaded in the one that loaded it: tiny networks and the real one on native
 * TensorFlow, their tensors, and what happens where its backend does not start.
 */
import { memory, registerBackend, removeBackend } from "@tensorflow/tfjs-core";
import type { EngineOutput } from "../../../../src/worker/model/engines/engine.js";
import { whyUnavailable } from "../../../../src/worker/model/engines/open-engine.js";
import { bgr, rgb, tinyImageBytes, tinyParts, tinyPixels, tinySpecV15 } from "../../../support/definition.js";
import { decodeExamples, resnet50Parts } from "../../../support/examples.js";
import { tinySpec } from "../../../support/tiny-resnet.js";

export interface TensorflowAnswer {
  readonly name: string;
  readonly isOnGpu: boolean | undefined;
  readonly isShapeBound: boolean | undefined;
  /** Of both forms of the tiny network: v1 with BGR, v1.5 with RGB and a scale. */
  readonly tiny: readonly EngineOutput[];
  /** Of the example photos and the real network. */
  readonly photos: EngineOutput;
  /** Tensors after each of some batches, the last of which failed, and when all networks are closed. */
  readonly tensorCounts: readonly number[];
  readonly tensorsLeft: number;
  /** What is said where TensorFlow.js takes another backend instead. */
  readonly refusal: string;
}

async function answer(): Promise<TensorflowAnswer | { readonly unavailable: string }> {
  const unavailable = await whyUnavailable("tensorflow");
  if (unavailable !== null) return { unavailable };
  const { openTensorflowEngine } = await import("../../../../src/worker/model/engines/tensorflow.js");
  const tiny: EngineOutput[] = [];
  const tensorCounts: number[] = [];
  for (const parts of [tinyParts(tinySpecV15, rgb), tinyParts(tinySpec, bgr)]) {
    const engine = await openTensorflowEngine(parts);
    tiny.unshift(await engine.infer(tinyPixels, 3));
    if (parts.spec === tinySpec) {
      for (let batch = 0; batch < 60; batch += 1) {
        const n = 1 + (batch % 3);
        await engine.infer(tinyPixels.slice(0, n * tinyImageBytes), n);
        tensorCounts.push(memory().numTensors);
      }
      // The wrong length for three images: what was made until the error must be freed as well.
      await engine.infer(tinyPixels.slice(3), 3).catch(() => tensorCounts.push(memory().numTensors));
    }
    await engine.close();
  }
  const engine = await openTensorflowEngine(await resnet50Parts());
  const photos = await engine.infer(await decodeExamples(), 4);
  await engine.close();
  const tensorsLeft = memory().numTensors;
  breakBackend();
  const refusal = await openTensorflowEngine(tinyParts()).then(({ name }) => `it ran as ${name}`, String);
  const { name, isOnGpu, isShapeBound } = engine;
  return { name, isOnGpu, isShapeBound, tiny, photos, tensorCounts, tensorsLeft, refusal };
}

/** The backend that comes with the package is replaced by one that does not start; others are there to fall back to. */
function breakBackend(): void {
  removeBackend("tensorflow");
  registerBackend("tensorflow", () => {
    throw new Error("no device");
  });
}

answer().then(
  (message) => process.send?.(message),
  (error) => process.send?.({ error: String(error) }),
);
