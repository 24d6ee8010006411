import assert from "node:assert/strict";
import fc from "fast-check";
import { topK } from "../../../src/worker/model/top-k.js";

describe("worker/model/top-k", () => {
  it("gives softmax probabilities, best first", () => {
    const { indices, scores } = topK(Float32Array.of(0, Math.log(2), Math.log(5)), 2);
    assert.deepEqual(indices, [2, 1]);
    assert.ok(Math.abs((scores[0] as number) - 5 / 8) < 1e-7 && Math.abs((scores[1] as number) - 2 / 8) < 1e-7);
  });

  it("orders equal logits by index", () => {
    assert.deepEqual(topK(Float32Array.of(1, 3, 3, 1, 3), 4).indices, [1, 2, 4, 0]);
  });

  it("gives all classes where fewer are there than asked for", () => {
    assert.deepEqual(topK(Float32Array.of(-1, 1), 5).indices, [1, 0]);
  });

  it("stays finite for logits whose exponentials overflow", () => {
    assert.deepEqual(topK(Float32Array.of(10_000, -10_000), 2).scores, [1, 0]);
  });

  it("refuses logits that are not finite, anywhere in the row", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      assert.throws(() => topK(Float32Array.of(9, 8, bad), 1), {
        code: "ENGINE_FAILED",
        message: /logit 2 is (NaN|-?Infinity)/,
      });
    }
  });

  it("agrees with a full stable sort", () => {
    const logits = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(logits, fc.integer({ min: 1, max: 12 }), (values, k) => {
        const sorted = [...values.keys()].sort((a, b) => (values[b] as number) - (values[a] as number));
        assert.deepEqual(topK(Float32Array.from(values), k).indices, sorted.slice(0, k));
      }),
    );
  });
});
