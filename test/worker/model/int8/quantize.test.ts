import assert from "node:assert/strict";
import {
  positiveScaleOf,
  quantizeBias,
  quantizeWeight,
  unsignedScaleOf,
} from "../../../../src/worker/model/int8/quantize.js";

describe("worker/model/int8/quantize", () => {
  it("expresses 0 exactly in every range, also in one that does not hold it", () => {
    assert.deepEqual(unsignedScaleOf([-1, 1.55]), { scale: Math.fround(0.01), zeroPoint: 100 });
    assert.deepEqual(unsignedScaleOf([1, 2.55]), { scale: Math.fround(0.01), zeroPoint: 0 });
    assert.deepEqual(unsignedScaleOf([-2.55, -1]), { scale: Math.fround(0.01), zeroPoint: 255 });
    assert.deepEqual(positiveScaleOf([-7, 2.55]), { scale: Math.fround(0.01), zeroPoint: 0 });
    assert.deepEqual(unsignedScaleOf([0, 0]), { scale: 1, zeroPoint: 0 });
  });

  it("gives each output channel the scale of its largest weight", () => {
    const data = Float32Array.of(0.5, -1.27, 127, -64.4, 0, 0);
    const weight = { name: "w", shape: [3, 2, 1, 1], data };
    assert.deepEqual(quantizeWeight(weight, 127), {
      data: Int8Array.of(50, -127, 127, -64, 0, 0),
      scales: Float32Array.of(0.01, 1, 1),
    });
    assert.deepEqual([...quantizeWeight(weight, 63).data], [25, -63, 63, -32, 0, 0]);
  });

  it("counts biases in units of input scale times weight scale, within int32", () => {
    const { data, scales } = quantizeBias(Float32Array.of(1, -2.6, 1e9), 0.5, Float32Array.of(1, 2, 1e-3));
    assert.deepEqual([...scales], [0.5, 1, Math.fround(0.0005)]);
    assert.deepEqual([...data], [2, -3, 2 ** 31 - 1]);
  });
});
