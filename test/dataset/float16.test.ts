import assert from "node:assert/strict";
import { fromHalf, toHalf } from "../../src/dataset/float16.js";

describe("dataset/float16", () => {
  it("gives back every half that is a number", () => {
    for (let half = 0; half < 0x10000; half += 1) {
      const value = fromHalf(half);
      if (!Number.isNaN(value)) assert.equal(toHalf(value), half, String(half));
    }
    assert.ok(Number.isNaN(fromHalf(toHalf(Number.NaN))));
  });

  it("rounds to the nearest, ties to even", () => {
    // Values and bits of IEEE 754-2019, binary16: 11 significant bits, smallest normal 2^-14, smallest of all 2^-24.
    const cases: [number, number][] = [
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [1 + 2 ** -11 + 2 ** -20, 0x3c01],
      [2 - 2 ** -12, 0x4000],
      [2 ** -25, 0],
      [3 * 2 ** -26, 1],
      [2 ** -14 - 2 ** -26, 0x0400],
      [-1 / 3, 0xb555],
      [-0, 0x8000],
    ];
    for (const [value, half] of cases) assert.equal(toHalf(value), half, String(value));
  });

  it("keeps what is too large finite, and infinities infinite", () => {
    for (const value of [65_504, 65_519, 65_520, 1e30]) assert.equal(fromHalf(toHalf(value)), 65_504);
    assert.equal(fromHalf(toHalf(-1e30)), -65_504);
    assert.equal(fromHalf(toHalf(Number.NEGATIVE_INFINITY)), Number.NEGATIVE_INFINITY);
  });
});
