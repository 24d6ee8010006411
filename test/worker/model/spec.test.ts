import assert from "node:assert/strict";
import { torchvisionSpec } from "../../../src/worker/model/architectures.js";
import { findModel } from "../../../src/worker/model/catalog.js";
import { foldedShapesOf, layersOf, type ResNetSpec } from "../../../src/worker/model/spec.js";

const { spec } = findModel("resnet50");

describe("worker/model/spec", () => {
  it("derives the 53 convolutions of ResNet-50 and their sizes", () => {
    const { stem, pooledSize, blocks, convolutions, embeddingWidth } = layersOf(spec);
    assert.equal(convolutions.length, 53);
    assert.deepEqual([stem.outputSize, pooledSize, embeddingWidth], [112, 56, 2048]);
    assert.deepEqual(
      blocks.map((block) => block.last.outputSize),
      [56, 56, 56, 28, 28, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7, 7],
    );
    assert.deepEqual(
      blocks.filter((block) => block.project !== null).map((block) => block.name),
      ["stage1.block1", "stage2.block1", "stage3.block1", "stage4.block1"],
    );
  });

  it("puts the stride of a stage into its first 1x1 for v1 and into the 3x3 for v1.5", () => {
    const stridesOf = (of: ResNetSpec) => {
      const block = layersOf(of).blocks.find(({ name }) => name === "stage2.block1");
      return [...(block?.inner ?? []), block?.project].map((layer) => layer?.stride);
    };
    assert.deepEqual(stridesOf(spec), [2, 1, 2]);
    assert.deepEqual(stridesOf({ ...spec, stridePlacement: "3x3" }), [1, 2, 2]);
  });

  it("derives the convolutions of ResNet-18 and 34, with a stage's stride in its first 3x3 and no other way round", () => {
    for (const [architecture, count] of [
      ["resnet18", 20],
      ["resnet34", 36],
    ] as const) {
      const { blocks, convolutions, embeddingWidth } = layersOf(torchvisionSpec(architecture));
      assert.deepEqual([convolutions.length, embeddingWidth], [count, 512]);
      assert.deepEqual(
        blocks.filter((block) => block.project !== null).map((block) => block.name),
        ["stage2.block1", "stage3.block1", "stage4.block1"],
      );
      const block = blocks.find(({ name }) => name === "stage2.block1");
      const layers = [...(block?.inner ?? []), block?.last, block?.project];
      assert.deepEqual(
        layers.map((layer) => [layer?.name, layer?.kernel, layer?.stride, layer?.inChannels, layer?.outChannels]),
        [
          ["stage2.block1.first", 3, 2, 64, 128],
          ["stage2.block1.second", 3, 1, 128, 128],
          ["stage2.block1.project", 1, 2, 64, 128],
        ],
      );
    }
  });

  it("lists weight and bias of each convolution, then the fully connected layer", () => {
    const shapes = foldedShapesOf(spec);
    assert.equal(shapes.length, 108);
    assert.deepEqual(shapes[0], { name: "stem.weight", shape: [64, 3, 7, 7] });
    assert.deepEqual(shapes.at(-2), { name: "fc.weight", shape: [1000, 2048] });
  });
});
