import assert from "node:assert/strict";
import { fitBatches, type LoweredLimit } from "../../../src/worker/compute/fit-batches.js";
import type { Engine } from "../../../src/worker/model/engines/engine.js";

const memoryError = new Error("OOM when allocating tensor");

interface Device {
  /** Images that its memory holds. */
  readonly holds?: number;
  /** Calls that fail first, whatever they hold. */
  readonly failsFirst?: number;
  /** The image of this value is too large for it by itself. */
  readonly refuses?: number;
  readonly error?: Error;
  readonly isShapeBound?: boolean;
}

/** An engine of one byte an image, which says the byte back as embedding and, twice, as logits. */
function setUp(
  limit: number,
  { holds = 99, failsFirst = 0, refuses, error = memoryError, isShapeBound = false }: Device = {},
) {
  const calls: number[] = [];
  const lowered: LoweredLimit[] = [];
  const engine: Engine = {
    name: "scripted",
    embeddingWidth: 1,
    classes: 2,
    isShapeBound,
    async infer(pixels, n) {
      calls.push(n);
      assert.equal(pixels.length, n);
      if (calls.length <= failsFirst || n > holds || (refuses !== undefined && pixels.includes(refuses))) throw error;
      return { embeddings: Float32Array.from(pixels), logits: Float32Array.from([...pixels].flatMap((b) => [b, b])) };
    },
    close: async () => {},
  };
  const fitted = fitBatches(engine, { limit, imageBytes: 1, onLowered: (each) => lowered.push(each), restsMs: [1, 2] });
  const run = async (...images: number[]) => {
    const { embeddings, logits, misfits } = await fitted.infer(Uint8Array.from(images), images.length);
    assert.deepEqual(
      [...logits],
      [...embeddings].flatMap((each) => [each, each]),
    );
    return { values: [...embeddings], misfits: [...misfits.keys()] };
  };
  return { fitted, calls, lowered, run };
}

describe("worker/compute/fit-batches", () => {
  it("passes a batch through that fits", async () => {
    const { run, calls, lowered } = setUp(8);
    assert.deepEqual(await run(1, 2, 3), { values: [1, 2, 3], misfits: [] });
    assert.deepEqual([calls, lowered], [[3], []]);
  });

  it("halves a batch until it fits, tells of each halving, and gives every image's answer in its place", async () => {
    const { run, calls, lowered, fitted } = setUp(8, { holds: 2 });
    assert.deepEqual(await run(1, 2, 3, 4, 5, 6, 7), { values: [1, 2, 3, 4, 5, 6, 7], misfits: [] });
    assert.deepEqual(calls, [7, 4, 2, 2, 2, 1]);
    assert.deepEqual(lowered, [
      { limit: 4, reason: memoryError.message },
      { limit: 2, reason: memoryError.message },
    ]);
    assert.equal(fitted.limit, 2);
  });

  it("keeps the smaller size for the batches that follow", async () => {
    const { run, calls, lowered } = setUp(8, { holds: 2 });
    await run(1, 2, 3, 4);
    calls.length = 0;
    await run(5, 6, 7, 8);
    assert.deepEqual(calls, [2, 2]);
    assert.equal(lowered.length, 1);
  });

  it("makes a misfit of an image that does not fit alone, and answers its neighbours", async () => {
    const { run, fitted } = setUp(4, { refuses: 3 });
    assert.deepEqual(await run(1, 2, 3, 4), { values: [1, 2, 0, 4], misfits: [2] });
    assert.equal(fitted.limit, 1);
    assert.deepEqual(await run(3), { values: [0], misfits: [0] });
  });

  it("tries an image again that did not fit alone, as a neighbour may have had the memory", async () => {
    const { run, calls } = setUp(1, { failsFirst: 2 });
    assert.deepEqual(await run(5), { values: [5], misfits: [] });
    assert.deepEqual(calls, [1, 1, 1]);
  });

  it("rejects where an image that is known to be good does not fit either, rather than blame one after the other", async () => {
    const { run, calls } = setUp(2, { holds: 0 });
    await assert.rejects(run(1, 2), memoryError);
    assert.deepEqual(calls, [2, 1, 1, 1, 1]);
  });

  it("lets any other error through, without a second call", async () => {
    const { run, calls, lowered } = setUp(8, { holds: 2, error: new Error("device lost") });
    await assert.rejects(run(1, 2, 3), /device lost/);
    assert.deepEqual([calls, lowered], [[3], []]);
  });

  it("fills calls up to a size that was run before, for an engine that is bound to shapes", async () => {
    const { run, calls } = setUp(8, { isShapeBound: true });
    await run(1);
    await run(1, 2, 3, 4, 5, 6, 7, 8);
    calls.length = 0;
    assert.deepEqual(await run(1, 2, 3), { values: [1, 2, 3], misfits: [] });
    assert.deepEqual((await run(9)).values, [9]);
    assert.deepEqual(calls, [8, 1]);
  });

  it("never fills up beyond what memory holds", async () => {
    const { run, calls } = setUp(8, { isShapeBound: true, holds: 5 });
    await run(1, 2, 3, 4, 5, 6, 7, 8);
    assert.deepEqual(calls, [8, 4, 4]);
    calls.length = 0;
    assert.deepEqual((await run(1, 2, 3, 4, 5, 6)).values, [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(calls, [4, 4]);
  });

  it("takes fewer images from when it is told to", async () => {
    const { run, calls, fitted, lowered } = setUp(8);
    fitted.lower(2);
    await run(1, 2, 3);
    assert.deepEqual([calls, lowered], [[2, 1], []]);
  });
});
