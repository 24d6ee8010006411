import assert from "node:assert/strict";
import { valueNamesOf } from "../../../../src/worker/model/compose.js";
import { openOnnxEngine } from "../../../../src/worker/model/engines/onnx.js";
import { type Extremes, rangesOf } from "../../../../src/worker/model/int8/calibration.js";
import { buildInt8Model } from "../../../../src/worker/model/int8/int8-graph.js";
import { buildObservedModel } from "../../../../src/worker/model/int8/observed-graph.js";
import type { Preprocess } from "../../../../src/worker/model/preprocess.js";
import { layersOf, type ResNetSpec } from "../../../../src/worker/model/spec.js";
import { foldWeights } from "../../../../src/worker/model/weights/fold.js";
import { bgr, rgb } from "../../../support/definition.js";
import { naiveInt8 } from "../../../support/naive-int8.js";
import { randomNumbers, randomSource, tinyBasicSpec, tinySpec } from "../../../support/tiny-resnet.js";

const imageBytes = 32 * 32 * 3;
const count = 3;
const pixels = Uint8Array.from(randomNumbers(count * imageBytes, 99), (value) => Math.floor((value + 1) * 127.9));

/** Largest difference, relative to the largest value. */
function difference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  const largest = Math.max(...Array.from(want, Math.abs));
  return Math.max(...Array.from(want, (value, index) => Math.abs(value - (got[index] as number)))) / largest;
}

/** What the float32 model and its watch say of the images. */
async function observe(spec: ResNetSpec, preprocess: Preprocess) {
  const weights = foldWeights(spec, randomSource(spec));
  const parts = { spec, preprocess, weights };
  const plain = await openOnnxEngine(parts, { threads: 1 });
  const watched = await openOnnxEngine(parts, { threads: 1, build: buildObservedModel });
  try {
    const { embeddings, logits } = await plain.infer(pixels, count);
    const all = (await watched.infer(pixels, count)).embeddings;
    const values = valueNamesOf(spec).length;
    const width = layersOf(spec).embeddingWidth;
    assert.equal(watched.embeddingWidth, width + 2 * values);
    const extremes = Array.from({ length: count }, (_, image): Extremes => {
      const row = all.subarray(image * watched.embeddingWidth, (image + 1) * watched.embeddingWidth);
      // Not equal to the last bit: what is watched is not fused.
      assert.ok(difference(row.slice(0, width), embeddings.slice(image * width, (image + 1) * width)) < 1e-5);
      return { minima: row.slice(width, width + values), maxima: row.slice(width + values) };
    });
    return { parts, logits, extremes };
  } finally {
    await Promise.all([plain.close(), watched.close()]);
  }
}

async function compare(spec: ResNetSpec, preprocess: Preprocess, weightLimit: number): Promise<void> {
  const { parts, logits, extremes } = await observe(spec, preprocess);
  const model = { ...parts, ranges: rangesOf(spec, extremes), weightLimit };
  const engine = await openOnnxEngine(parts, { threads: 1, build: () => buildInt8Model(model) });
  try {
    const got = await engine.infer(pixels, count);
    const images = Array.from({ length: count }, (_, i) =>
      naiveInt8(model, pixels.subarray(i * imageBytes, (i + 1) * imageBytes)),
    );
    const embeddings = images.flatMap(({ embedding }) => embedding);
    const expected = images.flatMap((image) => image.logits);
    assert.ok(difference(got.embeddings, embeddings) < 1e-5);
    assert.ok(difference(got.logits, expected) < 1e-5);
    // The integers matter: float32 is away by more than a hundred times as much.
    const away = difference(logits, expected);
    assert.ok(away > 1e-3 && away < 0.05, `float32 is ${away} away`);
  } finally {
    await engine.close();
  }
}

describe("worker/model/int8/int8-graph", () => {
  it("computes what the definition says: v1, BGR, biases", () => compare(tinySpec, bgr, 127));

  it("computes what the definition says: v1.5, RGB with a scale, no biases, 7-bit weights", () =>
    compare({ ...tinySpec, stridePlacement: "3x3", convBias: false, batchNormEpsilon: 1e-5 }, rgb, 63));

  it("computes what the definition says: basic blocks", () => compare(tinyBasicSpec, rgb, 127));
});
