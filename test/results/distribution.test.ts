import assert from "node:assert/strict";
import { createDistribution } from "../../src/results/distribution.js";

describe("results/distribution", () => {
  it("gives quantiles that are numbers of it, whatever the order", () => {
    const distribution = createDistribution(200);
    for (let i = 100; i > 0; i -= 1) distribution.add(i);
    const { count, mean, min, max, quantiles } = distribution.summarize() ?? assert.fail();
    assert.deepEqual([count, mean, min, max], [100, 50.5, 1, 100]);
    assert.deepEqual([quantiles.p01, quantiles.p05, quantiles.p50, quantiles.p99], [1, 5, 50, 99]);
  });

  it("is null of no numbers, and refuses more than it has room for", () => {
    const distribution = createDistribution(0);
    assert.equal(distribution.summarize(), null);
    assert.throws(() => distribution.add(1), RangeError);
  });
});
