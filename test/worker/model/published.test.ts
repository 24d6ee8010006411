import assert from "node:assert/strict";
import { torchvisionPreprocess } from "../../../src/worker/model/preprocess.js";
import { findPublished, listPublished } from "../../../src/worker/model/published.js";
import { foldedShapesOf } from "../../../src/worker/model/spec.js";
import { totalsOf } from "../../../src/worker/model/summary.js";

describe("worker/model/published", () => {
  it("names every file by its digest's first eight digits, as torch.hub checks them, and no name twice", () => {
    for (const { file, name } of listPublished())
      assert.match(file, new RegExp(`^${name.split("-")[0]}-[0-9a-f]{8}\\.pth$`));
    assert.equal(new Set(listPublished().map(({ name }) => name)).size, listPublished().length);
  });

  it("bounds each file closely above its float32 numbers", () => {
    for (const { name, spec, maxBytes } of listPublished()) {
      const numbers = totalsOf(spec).source * 4;
      // The rest is the pickle, the zip's directory, and alignment.
      assert.ok(maxBytes > numbers && maxBytes < numbers + 1100 * foldedShapesOf(spec).length, name);
    }
  });

  it("resizes to 256 for the first recipe and to 232 for the second", () => {
    assert.deepEqual(findPublished("resnet50-v1")?.preprocess, torchvisionPreprocess);
    assert.deepEqual(findPublished("resnet50-v2")?.preprocess, { ...torchvisionPreprocess, shortestSide: 232 });
    assert.equal(findPublished("resnet50"), undefined);
  });
});
