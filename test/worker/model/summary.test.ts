import assert from "node:assert/strict";
import { architectures, torchvisionSpec } from "../../../src/worker/model/architectures.js";
import { findModel } from "../../../src/worker/model/catalog.js";
import { summarizeModel, totalsOf } from "../../../src/worker/model/summary.js";

describe("worker/model/summary", () => {
  it("counts the parameters of resnet50 in Keras's layout and folded", () => {
    const { layers, totals } = summarizeModel(findModel("resnet50"));
    assert.equal(totals.source, 25_636_712);
    assert.equal(totals.folded, 25_530_472);
    assert.equal(layers.length, 53 + 3);
  });

  it("describes a layer by its kind, output and both counts", () => {
    const stem = summarizeModel(findModel("resnet50")).layers[0];
    const expected = { name: "stem", kind: "Conv 7x7/2 + BatchNorm", outputShape: [64, 112, 112] };
    assert.deepEqual(stem, { ...expected, sourceParams: 9408 + 320, foldedParams: 9408 + 64 });
  });

  it("counts the parameters that torchvision states for each of its ResNets", () => {
    assert.deepEqual(
      architectures.map((name) => totalsOf(torchvisionSpec(name)).sourceTrainable),
      [11_689_512, 21_797_672, 25_557_032, 44_549_160, 60_192_808],
    );
  });
});
