import assert from "node:assert/strict";
import type { Engine, EngineOutput } from "../../src/worker/model/engines/engine.js";
import type { GraphParts } from "../../src/worker/model/graph-parts.js";
import type { Preprocess } from "../../src/worker/model/preprocess.js";
import { layersOf, type ResNetSpec } from "../../src/worker/model/spec.js";
import { foldWeights } from "../../src/worker/model/weights/fold.js";
import { naiveResNet } from "./naive-resnet.js";
import { randomNumbers, randomSource, tinySpec } from "./tiny-resnet.js";

/** Keras's way of preparing an image, and torchvision's, at the size of the tiny network. */
export const bgr: Preprocess = {
  shortestSide: 32,
  cropSize: 32,
  kernel: "linear",
  channelOrder: "BGR",
  mean: [103.939, 116.779, 123.68],
  std: [1, 1, 1],
};
export const rgb: Preprocess = {
  ...bgr,
  channelOrder: "RGB",
  mean: [123.675, 116.28, 103.53],
  std: [58.395, 57.12, 57.375],
};
/** The tiny network in torchvision's form. */
export const tinySpecV15: ResNetSpec = {
  ...tinySpec,
  stridePlacement: "3x3",
  convBias: false,
  batchNormEpsilon: 1e-5,
};

export const tinyImageBytes = 32 * 32 * 3;
/** Three images of noise for the tiny network. */
export const tinyPixels = Uint8Array.from(randomNumbers(3 * tinyImageBytes, 99), (value) =>
  Math.floor((value + 1) * 127.9),
);

/** What an engine of the tiny network is opened from. */
export function tinyParts(spec: ResNetSpec = tinySpec, preprocess: Preprocess = bgr): GraphParts {
  return { spec, preprocess, weights: foldWeights(spec, randomSource(spec)) };
}

/** Asserts that the engine computes what the definition of the network says, to 1e-5 of the largest value. */
export async function assertComputesDefinition(
  open: (parts: GraphParts) => Promise<Engine>,
  spec: ResNetSpec,
  preprocess: Preprocess,
): Promise<void> {
  const engine = await open(tinyParts(spec, preprocess));
  try {
    assert.deepEqual([engine.embeddingWidth, engine.classes], [layersOf(spec).embeddingWidth, spec.classes]);
    assertIsDefinition(await engine.infer(tinyPixels, 3), spec, preprocess);
  } finally {
    await engine.close();
  }
}

/** Asserts that `output` is what the definition of the network gives for `tinyPixels`. */
export function assertIsDefinition(output: EngineOutput | undefined, spec: ResNetSpec, preprocess: Preprocess): void {
  const source = randomSource(spec);
  const images = [0, 1, 2].map((i) =>
    naiveResNet(spec, source, preprocess, tinyPixels.subarray(i * tinyImageBytes, (i + 1) * tinyImageBytes)),
  );
  assert.ok(output !== undefined);
  const want = { embeddings: images.flatMap(({ embedding }) => embedding), logits: images.flatMap((i) => i.logits) };
  assert.ok(difference(output.embeddings, want.embeddings) < 1e-5);
  assert.ok(difference(output.logits, want.logits) < 1e-5);
}

/** Largest difference, relative to the largest value. */
function difference(got: Float32Array, want: readonly number[]): number {
  assert.equal(got.length, want.length);
  const largest = Math.max(...want.map(Math.abs));
  return Math.max(...want.map((value, index) => Math.abs(value - (got[index] as number)))) / largest;
}
