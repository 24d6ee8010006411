import assert from "node:assert/strict";
import { requireSameOutput } from "../../../../src/worker/model/onnx-file/same-output.js";

const output = (...embedding: number[]) => ({ embeddings: Float32Array.of(...embedding), logits: Float32Array.of(1) });

describe("worker/model/onnx-file/same-output", () => {
  it("takes what rounding explains", () => {
    requireSameOutput(output(2, 0.009), output(2, 0), "differs");
    requireSameOutput(output(0, 0), output(0, 0), "differs");
  });

  it("refuses what it does not, and says what and how", () => {
    assert.throws(
      () => requireSameOutput(output(2, 0.011), output(2, 0), "differs; export it otherwise"),
      /its embedding differs; export it otherwise \(a number is off by 0\.011 of 2\.0\)/,
    );
    const other = { ...output(2), logits: Float32Array.of(1.1) };
    assert.throws(() => requireSameOutput(other, output(2), "differs"), /its logits differs/);
  });

  it("refuses numbers that are not finite, which no comparison finds", () => {
    assert.throws(
      () => requireSameOutput(output(Number.NaN), output(Number.NaN), "differs"),
      /embedding .* not finite/,
    );
  });
});
