import assert from "node:assert/strict";
import { findModel } from "../../../src/worker/model/catalog.js";
import { summarizeModel, totalsOf } from "../../../src/worker/model/summary.js";

describe("worker/model/summary", () => {
  it("counts the parameters of resnet50 in Keras's layout and folded", () => {
    const { layers, totals } = summarizeModel(findModel("resnet50"));
    assert.equal(totals.source, 25_636_712);
    assert.equal(totals.folded, 25_530_472);
    assert.equal(layers.length, 53 + 3);
  });

  it("counts as torchvision does for a layout without biases", () => {
    const { sourceTrainable } = totalsOf({ ...findModel("resnet50").spec, convBias: false });
    assert.equal(sourceTrainable, 25_557_032);
  });

  it("describes a layer by its kind, output and both counts", () => {
    const stem = summarizeModel(findModel("resnet50")).layers[0];
    const expected = { name: "stem", kind: "Conv 7x7/2 + BatchNorm", outputShape: [64, 112, 112] };
    assert.deepEqual(stem, { ...expected, sourceParams: 9408 + 320, foldedParams: 9408 + 64 });
  });

  it("counts the deeper ResNets from their stages alone", () => {
    const { spec } = findModel("resnet50");
    const deeper = (blocks: number[]) =>
      totalsOf({
        ...spec,
        convBias: false,
        stages: spec.stages.map((stage, i) => ({ ...stage, blocks: blocks[i] ?? 0 })),
      });
    assert.equal(deeper([3, 4, 23, 3]).sourceTrainable, 44_549_160);
    assert.equal(deeper([3, 8, 36, 3]).sourceTrainable, 60_192_808);
  });
});
