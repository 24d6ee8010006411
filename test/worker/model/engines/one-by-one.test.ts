import assert from "node:assert/strict";
import { fitBatches } from "../../../../src/worker/compute/fit-batches.js";
import type { Engine } from "../../../../src/worker/model/engines/engine.js";
import { oneByOne } from "../../../../src/worker/model/engines/one-by-one.js";

describe("worker/model/engines/one-by-one", () => {
  it("makes one call an image, in order, also of an engine that is bound to shapes and has run larger batches", async () => {
    let calls = 0;
    const engine: Engine = {
      name: "scripted",
      embeddingWidth: 1,
      classes: 1,
      isShapeBound: true,
      async infer(pixels, n) {
        calls += 1;
        assert.deepEqual([pixels.length, n], [1, 1]);
        return { embeddings: Float32Array.from(pixels), logits: Float32Array.from(pixels) };
      },
      close: async () => {},
    };
    const fitted = fitBatches(oneByOne(engine, 1), { limit: 8, imageBytes: 1, onLowered: () => {} });
    await fitted.infer(new Uint8Array(8), 8);
    calls = 0;
    const { embeddings, logits } = await fitted.infer(Uint8Array.of(5, 6), 2);
    assert.deepEqual([[...embeddings], [...logits], calls], [[5, 6], [5, 6], 2]);
  });
});
