import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cosine } from "../../../../src/worker/model/cosine.js";
import { drawGoldenImages, goldenCount, leastCosine } from "../../../../src/worker/model/int8/golden.js";

describe("worker/model/int8/golden", () => {
  it("draws the images that the shipped golden embeddings are of, bit for bit", () => {
    const pixels = drawGoldenImages(224);
    assert.equal(pixels.length, goldenCount * 224 * 224 * 3);
    const digest = createHash("sha256").update(pixels).digest("hex");
    assert.equal(digest, "aa554d7396e2b31c0902033bae1875cba0da1b0bf61300818b4cbc1c690571cf");
    const first = pixels.subarray(0, 224 * 224 * 3);
    assert.ok(first.includes(10) && first.includes(245));
  });

  it("measures the angle of each image, and tells the least", () => {
    const golden = [Float32Array.of(1, 0), Float32Array.of(1, 1)];
    assert.equal(cosine(Float32Array.of(2, 0), Float32Array.of(3, 4)), 0.6);
    assert.ok(Math.abs(leastCosine(Float32Array.of(3, 4, 2, 2), golden) - 0.6) < 1e-12);
    assert.ok(Number.isNaN(leastCosine(Float32Array.of(Number.NaN, 1, 1, 1), golden)));
  });
});
