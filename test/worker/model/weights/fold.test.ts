import assert from "node:assert/strict";
import type { ResNetSpec } from "../../../../src/worker/model/spec.js";
import { digestWeights } from "../../../../src/worker/model/weights/digest.js";
import { foldWeights, type SourceConv, type SourceWeights } from "../../../../src/worker/model/weights/fold.js";
import { randomSource, tinySpec } from "../../../support/tiny-resnet.js";

/** A stem of one channel and nothing else, small enough to compute by hand. */
const stemOnly: ResNetSpec = { ...tinySpec, stemWidth: 1, stages: [], classes: 1, batchNormEpsilon: 1 };

function stemSource(conv: Partial<SourceConv>): SourceWeights {
  const kernel = new Float32Array(3 * 7 * 7);
  kernel[0] = 4;
  kernel[146] = -2;
  const given = { kernel, bias: Float32Array.of(5), gamma: Float32Array.of(6), beta: Float32Array.of(7) };
  const stem = { ...given, mean: Float32Array.of(1), variance: Float32Array.of(3), ...conv };
  return { convs: new Map([["stem", stem]]), fcWeight: Float32Array.of(1), fcBias: Float32Array.of(2) };
}

describe("worker/model/weights/fold", () => {
  it("folds a case that was computed by hand", () => {
    // scale = 6 / sqrt(3 + 1) = 3; weight 4 * 3 and -2 * 3; bias (5 - 1) * 3 + 7.
    const folded = foldWeights(stemOnly, stemSource({}));
    const weight = folded.get("stem.weight")?.data;
    assert.deepEqual([weight?.[0], weight?.[1], weight?.[146]], [12, 0, -6]);
    assert.deepEqual([...(folded.get("stem.bias")?.data ?? [])], [19]);
    assert.deepEqual([...folded.keys()], ["stem.weight", "stem.bias", "fc.weight", "fc.bias"]);
  });

  it("takes a missing bias as zero", () => {
    const folded = foldWeights(stemOnly, stemSource({ bias: null }));
    assert.deepEqual([...(folded.get("stem.bias")?.data ?? [])], [4]);
  });

  it("names the tensor that is not finite: a negative variance, a NaN, an array that is too short", () => {
    const broken = [
      { variance: Float32Array.of(-2) },
      { gamma: Float32Array.of(Number.NaN) },
      { mean: new Float32Array(0) },
    ];
    for (const conv of broken)
      assert.throws(
        () => foldWeights(stemOnly, stemSource(conv)),
        /tensor stem\.\w+ holds a number that is not finite/,
      );
    const source = { ...randomSource(tinySpec), convs: new Map() };
    assert.throws(() => foldWeights(tinySpec, source), /layer stem is missing/);
  });

  it("gives a digest that changes with one bit, with the precision's context, and with nothing else", () => {
    const context = { precision: "fp32", stridePlacement: "first-1x1" } as const;
    const digest = digestWeights(foldWeights(tinySpec, randomSource(tinySpec)), context);
    assert.equal(digestWeights(foldWeights(tinySpec, randomSource(tinySpec)), context), digest);
    assert.notEqual(
      digestWeights(foldWeights(tinySpec, randomSource(tinySpec)), { ...context, stridePlacement: "3x3" }),
      digest,
    );
    const changed = foldWeights(tinySpec, randomSource(tinySpec));
    const bias = changed.get("fc.bias")?.data as Float32Array;
    new Uint8Array(bias.buffer, bias.byteOffset)[0] = (new Uint8Array(bias.buffer, bias.byteOffset)[0] as number) ^ 1;
    assert.notEqual(digestWeights(changed, context), digest);
  });
});
