import assert from "node:assert/strict";
import { compareOutputs, type ImageOutput, isWithinLimits, limitsOf } from "../../../src/worker/model/agreement.js";

const output = (embedding: number[], logits: number[]): ImageOutput => ({
  embedding: Float32Array.from(embedding),
  logits: Float32Array.from(logits),
});

describe("worker/model/agreement", () => {
  const same = output([1, 2, 0], [0.5, 3, -1]);

  it("finds no difference between equal outputs", () => {
    const agreement = compareOutputs([same, same], [same, same]);
    assert.deepEqual(agreement, { images: 2, sameTop1: 2, meanCosine: 1, minCosine: 1, maxLogitDifference: 0 });
    assert.ok(isWithinLimits(agreement, limitsOf("fp32")));
  });

  it("states the worst image, whichever it is", () => {
    const turned = output([2, -1, 0], [3, 0.5, -1]);
    const nearly = output([1, 2, 0.001], [0.5, 3, -1.25]);
    const agreement = compareOutputs([same, same, same], [nearly, turned, same]);
    assert.deepEqual([agreement.sameTop1, agreement.minCosine, agreement.maxLogitDifference], [2, 0, 2.5]);
    assert.ok(Math.abs(agreement.meanCosine - 2 / 3) < 1e-6);
    assert.ok(!isWithinLimits(agreement, limitsOf("int8")));
  });

  it("holds all limits: the mean cosine, that of every image, and the share of equal classes", () => {
    const agreement = { images: 100, sameTop1: 95, meanCosine: 0.995, minCosine: 0.99, maxLogitDifference: 9 };
    const limits = { meanCosine: 0.995, minCosine: 0.99, top1Share: 0.95 };
    assert.ok(isWithinLimits(agreement, limits));
    assert.ok(!isWithinLimits({ ...agreement, sameTop1: 94 }, limits));
    assert.ok(!isWithinLimits({ ...agreement, meanCosine: 0.994 }, limits));
    assert.ok(!isWithinLimits({ ...agreement, minCosine: 0.989 }, limits));
  });

  it("allows eight bits to differ more than the order of float32 sums does", () => {
    const agreement = { images: 100, sameTop1: 98, meanCosine: 0.998, minCosine: 0.995, maxLogitDifference: 2 };
    assert.ok(isWithinLimits(agreement, limitsOf("int8")));
    assert.ok(isWithinLimits(agreement, limitsOf("int8-7bit")));
    assert.ok(!isWithinLimits(agreement, limitsOf("fp32")));
  });

  it("finds no agreement with an engine that gives zeros", () => {
    assert.ok(!isWithinLimits(compareOutputs([same], [output([0, 0, 0], [0, 0, 0])]), limitsOf("int8")));
  });

  it("compares image by image, and leaves out those that one of them could not see", () => {
    const other = output([3, 0, 1], [5, 0, 0]);
    const agreement = compareOutputs([null, same, other], [same, null, other]);
    assert.deepEqual(agreement, { images: 1, sameTop1: 1, meanCosine: 1, minCosine: 1, maxLogitDifference: 0 });
  });

  it("refuses outputs of fewer images", () => {
    assert.throws(() => compareOutputs([same, same], [same]), /Expected 2 outputs, got 1/);
  });
});
