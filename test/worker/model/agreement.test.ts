import assert from "node:assert/strict";
import { compareOutputs, type ImageOutput, isWithinLimits } from "../../../src/worker/model/agreement.js";

const output = (embedding: number[], logits: number[]): ImageOutput => ({
  embedding: Float32Array.from(embedding),
  logits: Float32Array.from(logits),
});

describe("worker/model/agreement", () => {
  const same = output([1, 2, 0], [0.5, 3, -1]);

  it("finds no difference between equal outputs", () => {
    const agreement = compareOutputs([same, same], [same, same]);
    assert.deepEqual(agreement, { images: 2, sameTop1: 2, minCosine: 1, maxLogitDifference: 0 });
    assert.ok(isWithinLimits(agreement));
  });

  it("states the worst image, whichever it is", () => {
    const turned = output([2, -1, 0], [3, 0.5, -1]);
    const nearly = output([1, 2, 0.001], [0.5, 3, -1.25]);
    const agreement = compareOutputs([same, same, same], [nearly, turned, same]);
    assert.deepEqual([agreement.sameTop1, agreement.minCosine, agreement.maxLogitDifference], [2, 0, 2.5]);
    assert.ok(!isWithinLimits(agreement));
  });

  it("holds both limits: the cosine of every image, and the share of equal classes", () => {
    const agreement = { images: 100, sameTop1: 99, minCosine: 0.9999, maxLogitDifference: 9 };
    assert.ok(isWithinLimits(agreement));
    assert.ok(!isWithinLimits({ ...agreement, sameTop1: 98 }));
    assert.ok(!isWithinLimits({ ...agreement, minCosine: 0.9998 }));
  });

  it("finds no agreement with an engine that gives zeros", () => {
    assert.ok(!isWithinLimits(compareOutputs([same], [output([0, 0, 0], [0, 0, 0])])));
  });

  it("refuses outputs of fewer images", () => {
    assert.throws(() => compareOutputs([same, same], [same]), /Expected 2 outputs, got 1/);
  });
});
