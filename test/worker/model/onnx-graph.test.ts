import assert from "node:assert/strict";
import { openOnnxEngine } from "../../../src/worker/model/engines/onnx.js";
import type { GraphParts } from "../../../src/worker/model/graph-parts.js";
import {
  assertComputesDefinition,
  bgr,
  rgb,
  tinyImageBytes,
  tinyParts,
  tinyPixels,
  tinySpecV15,
} from "../../support/definition.js";
import { tinyBasicSpec, tinySpec } from "../../support/tiny-resnet.js";

const open = (parts: GraphParts) => openOnnxEngine(parts, { threads: 1 });

describe("worker/model/onnx-graph", () => {
  it("computes what the definition says: v1, BGR, biases", () => assertComputesDefinition(open, tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    assertComputesDefinition(open, tinySpecV15, rgb));

  it("computes what the definition says: basic blocks", () => assertComputesDefinition(open, tinyBasicSpec, rgb));

  it("takes any number of images in one session and does not mix them", async () => {
    const engine = await open(tinyParts());
    const together = await engine.infer(tinyPixels, 3);
    const alone = await engine.infer(tinyPixels.slice(tinyImageBytes, 2 * tinyImageBytes), 1);
    assert.deepEqual(alone.logits, together.logits.slice(5, 10));
    await assert.rejects(engine.infer(tinyPixels.slice(1), 3));
    await engine.close();
  });

  it("keeps no reference to the weights once the engine is open", async () => {
    const parts = tinyParts();
    const engine = await open(parts);
    const first = await engine.infer(tinyPixels, 3);
    for (const { data } of parts.weights.values()) data.fill(Number.NaN);
    assert.deepEqual(await engine.infer(tinyPixels, 3), first);
    await engine.close();
  });
});
