import assert from "node:assert/strict";
import { createRandom } from "../../../../src/worker/model/weights/random.js";

describe("worker/model/weights/random", () => {
  it("gives the same numbers for the same seed, and others for another", () => {
    const draw = (seed: number) => {
      const random = createRandom(seed);
      return [random.uniform(), random.normal(), random.normal()];
    };
    assert.deepEqual(draw(1), draw(1));
    assert.notDeepEqual(draw(1), draw(2));
  });

  it("draws uniform numbers over the whole range", () => {
    const random = createRandom(5);
    const buckets = new Array<number>(10).fill(0);
    for (let index = 0; index < 100_000; index += 1) {
      const bucket = Math.floor(random.uniform() * 10);
      buckets[bucket] = (buckets[bucket] as number) + 1;
    }
    // Five standard deviations of a count of 10,000.
    for (const count of buckets) assert.ok(Math.abs(count - 10_000) < 475, String(buckets));
  });

  it("draws normal numbers: moments and tails as they should be", () => {
    const random = createRandom(6);
    const values = Array.from({ length: 200_000 }, () => random.normal());
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    assert.ok(Math.abs(moment(1)) < 0.012, String(moment(1)));
    assert.ok(Math.abs(moment(2) - 1) < 0.016, String(moment(2)));
    assert.ok(Math.abs(moment(3)) < 0.044, String(moment(3)));
    assert.ok(Math.abs(moment(4) - 3) < 0.11, String(moment(4)));
    const beyond = values.filter((value) => Math.abs(value) > 1.959964).length / values.length;
    assert.ok(Math.abs(beyond - 0.05) < 0.0025, String(beyond));
  });
});
