import assert from "node:assert/strict";
import { openOnnxEngine } from "../../../src/worker/model/engines/onnx.js";
import type { Preprocess } from "../../../src/worker/model/preprocess.js";
import { layersOf, type ResNetSpec } from "../../../src/worker/model/spec.js";
import { foldWeights } from "../../../src/worker/model/weights/fold.js";
import { naiveResNet } from "../../support/naive-resnet.js";
import { randomNumbers, randomSource, tinySpec } from "../../support/tiny-resnet.js";

const bgr: Preprocess = {
  shortestSide: 32,
  cropSize: 32,
  kernel: "linear",
  channelOrder: "BGR",
  mean: [103.939, 116.779, 123.68],
  std: [1, 1, 1],
};
const rgb: Preprocess = { ...bgr, channelOrder: "RGB", mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
const imageBytes = 32 * 32 * 3;
const pixels = Uint8Array.from(randomNumbers(3 * imageBytes, 99), (value) => Math.floor((value + 1) * 127.9));

/** Largest difference, relative to the largest value. */
function difference(got: Float32Array, want: readonly number[]): number {
  assert.equal(got.length, want.length);
  const largest = Math.max(...want.map(Math.abs));
  return Math.max(...want.map((value, index) => Math.abs(value - (got[index] as number)))) / largest;
}

async function compare(spec: ResNetSpec, preprocess: Preprocess): Promise<void> {
  const source = randomSource(spec);
  const engine = await openOnnxEngine({ spec, preprocess, weights: foldWeights(spec, source) }, { threads: 1 });
  try {
    const { embeddings, logits } = await engine.infer(pixels, 3);
    const images = [0, 1, 2].map((i) =>
      naiveResNet(spec, source, preprocess, pixels.subarray(i * imageBytes, (i + 1) * imageBytes)),
    );
    assert.equal(engine.embeddingWidth, layersOf(spec).embeddingWidth);
    assert.ok(
      difference(
        embeddings,
        images.flatMap(({ embedding }) => embedding),
      ) < 1e-5,
    );
    assert.ok(
      difference(
        logits,
        images.flatMap((image) => image.logits),
      ) < 1e-5,
    );
  } finally {
    await engine.close();
  }
}

describe("worker/model/onnx-graph", () => {
  it("computes what the definition says: v1, BGR, biases", () => compare(tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    compare({ ...tinySpec, stridePlacement: "3x3", convBias: false, batchNormEpsilon: 1e-5 }, rgb));

  it("takes any number of images in one session and does not mix them", async () => {
    const weights = foldWeights(tinySpec, randomSource(tinySpec));
    const engine = await openOnnxEngine({ spec: tinySpec, preprocess: bgr, weights }, { threads: 1 });
    const together = await engine.infer(pixels, 3);
    const alone = await engine.infer(pixels.slice(imageBytes, 2 * imageBytes), 1);
    assert.deepEqual(alone.logits, together.logits.slice(5, 10));
    await assert.rejects(engine.infer(pixels.slice(1), 3));
    await engine.close();
  });

  it("keeps no reference to the weights once the engine is open", async () => {
    const weights = foldWeights(tinySpec, randomSource(tinySpec));
    const engine = await openOnnxEngine({ spec: tinySpec, preprocess: bgr, weights }, { threads: 1 });
    const first = await engine.infer(pixels, 3);
    for (const { data } of weights.values()) data.fill(Number.NaN);
    assert.deepEqual(await engine.infer(pixels, 3), first);
    await engine.close();
  });
});
