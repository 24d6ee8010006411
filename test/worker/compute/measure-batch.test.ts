import assert from "node:assert/strict";
import { measureBatchSize } from "../../../src/worker/compute/measure-batch.js";

/** A machine whose batch of n takes `msOf(n)` milliseconds, and the sizes that it was given. */
function machine(msOf: (n: number) => number | null) {
  const sizes: number[] = [];
  const timeBatch = async (n: number): Promise<number | null> => {
    if (sizes.at(-1) !== n) sizes.push(n);
    return msOf(n);
  };
  return { sizes, timeBatch };
}

describe("worker/compute/measure-batch", () => {
  it("goes up as long as larger batches are faster, and takes the fastest", async () => {
    // As a GPU: 5 ms a call, and 1 ms an image from 32 images on.
    const { sizes, timeBatch } = machine((n) => 5 + Math.max(n, 32));
    const { batchSize, why } = await measureBatchSize(timeBatch, 100);
    assert.equal(batchSize, 64);
    assert.deepEqual(sizes, [1, 2, 4, 8, 16, 32, 64, 128]);
    assert.match(why, /^fastest measured; images\/s: 27\.0 by 1, .*927\.5 by 64/);
  });

  it("takes the smaller of two that are as fast but for noise", async () => {
    const { sizes, timeBatch } = machine((n) => n * (n === 1 ? 10 : 9.8));
    assert.equal((await measureBatchSize(timeBatch, 100)).batchSize, 1);
    assert.deepEqual(sizes, [1, 2, 4]);
  });

  it("counts the best call of a size, as others can only slow one down", async () => {
    let calls = 0;
    const { timeBatch } = machine((n) => {
      calls += 1;
      return calls % 3 === 0 ? n * 10 : n * 100 + 5;
    });
    const { why } = await measureBatchSize(timeBatch, 100);
    assert.match(why, /: 100\.0 by 1, 100\.0 by 2/);
  });

  it("tries no size that would take the time too long", async () => {
    let spentMs = 0;
    const { sizes, timeBatch } = machine((n) => {
      spentMs += n * 100;
      return n * 100 - Math.log2(n) * 10;
    });
    await measureBatchSize(timeBatch, 100);
    assert.ok(spentMs < 3_500, String(spentMs));
    assert.deepEqual(sizes, [1, 2, 4, 8].slice(0, sizes.length));
  });

  it("gives an engine of 2 s an image one image", async () => {
    const { sizes, timeBatch } = machine((n) => n * 2_000);
    assert.equal((await measureBatchSize(timeBatch, 2_000)).batchSize, 1);
    assert.deepEqual(sizes, [1]);
  });

  it("does not measure an engine that took half a minute for its first image", async () => {
    const { sizes, timeBatch } = machine((n) => n);
    const choice = await measureBatchSize(timeBatch, 30_400);
    assert.deepEqual(choice, { batchSize: 1, why: "the first image took 30 s" });
    assert.deepEqual(sizes, []);
  });

  it("ends where the memory does", async () => {
    const { timeBatch } = machine((n) => (n > 8 ? null : 100));
    const { batchSize, why } = await measureBatchSize(timeBatch, 100);
    assert.equal(batchSize, 8);
    assert.match(why, /80\.0 by 8; 16 do not fit into its memory$/);
  });
});
