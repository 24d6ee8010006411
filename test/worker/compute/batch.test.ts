import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type BatchedImage, createBatcher } from "../../../src/worker/compute/batch.js";

const imageBytes = 4;
const image = (id: number): BatchedImage => ({ id, width: 1, height: 1, format: "png", topK: 5 });

/** A batcher over an engine that answers when it is told to. */
function setUp(batchSize: number, maxWaitMs: number) {
  const calls: { ids: number[]; pixels: ArrayBuffer; answer: () => void; fail: (error: Error) => void }[] = [];
  const failures: unknown[] = [];
  const batcher = createBatcher({
    batchSize,
    maxWaitMs,
    imageBytes,
    run: (pixels, images) =>
      new Promise((resolve, reject) =>
        calls.push({ ids: images.map(({ id }) => id), pixels, answer: () => resolve(pixels), fail: reject }),
      ),
    onFailed: (thrown) => failures.push(thrown),
  });
  const add = (id: number): void => batcher.add(image(id), new Uint8Array(imageBytes).fill(id));
  const expect = (count: number): void => {
    for (let index = 0; index < count; index += 1) batcher.expect();
  };
  return { batcher, calls, failures, add, expect };
}

describe("worker/compute/batch", () => {
  it("sends a full batch at once, with the pixels in order", () => {
    const { calls, add, expect } = setUp(2, 60_000);
    expect(5);
    add(1);
    assert.equal(calls.length, 0);
    add(2);
    assert.deepEqual(calls[0]?.ids, [1, 2]);
    assert.deepEqual([...new Uint8Array(calls[0].pixels)], [1, 1, 1, 1, 2, 2, 2, 2]);
  });

  it("flushes a partial batch when no image is on its way", () => {
    const { batcher, calls, add, expect } = setUp(8, 60_000);
    expect(3);
    add(1);
    add(2);
    assert.equal(calls.length, 0);
    batcher.drop();
    assert.deepEqual(calls[0]?.ids, [1, 2]);
  });

  it("flushes a partial batch when its oldest image has waited long enough", async () => {
    const { calls, add, expect } = setUp(8, 20);
    expect(2);
    add(1);
    assert.equal(calls.length, 0);
    while (calls.length === 0) await sleep(5);
    assert.deepEqual(calls[0]?.ids, [1]);
  });

  it("makes one call at a time, and fills the next batch meanwhile", async () => {
    const { calls, add, expect } = setUp(2, 60_000);
    expect(5);
    for (const id of [1, 2, 3, 4, 5]) add(id);
    assert.deepEqual(
      calls.map(({ ids }) => ids),
      [[1, 2]],
    );
    calls[0]?.answer();
    await sleep(0);
    assert.deepEqual(
      calls.map(({ ids }) => ids),
      [
        [1, 2],
        [3, 4],
      ],
    );
    calls[1]?.answer();
    await sleep(0);
    assert.deepEqual(
      calls.map(({ ids }) => ids),
      [[1, 2], [3, 4], [5]],
    );
  });

  it("uses the same memory again", async () => {
    const { calls, add, expect } = setUp(1, 60_000);
    for (const id of [1, 2, 3]) {
      expect(1);
      add(id);
      calls[id - 1]?.answer();
      await sleep(0);
    }
    assert.equal(new Set(calls.map(({ pixels }) => pixels)).size, 1);
  });

  it("reports a failing engine once and runs nothing more", async () => {
    const { calls, failures, add, expect } = setUp(1, 60_000);
    expect(2);
    add(1);
    add(2);
    const error = new Error("no more");
    calls[0]?.fail(error);
    await sleep(0);
    assert.deepEqual(failures, [error]);
    assert.equal(calls.length, 1);
  });
});
