import assert from "node:assert/strict";
import { planCrop } from "../../../src/worker/compute/geometry.js";

const geometry = { shortestSide: 256, cropSize: 224 };

describe("worker/compute/geometry", () => {
  it("scales the shortest side and cuts the middle, as torchvision does", () => {
    // torchvision: int(256 * 500 / 375) = 341; int(round((341 - 224) / 2)) = round(58.5) = 58, half to even.
    const plan = planCrop({ width: 500, height: 375 }, 1, geometry);
    assert.deepEqual(plan.resized, { width: 341, height: 256 });
    assert.deepEqual(plan.crop, { left: 58, top: 16, width: 224, height: 224 });
    assert.deepEqual(plan.displayed, { width: 500, height: 375 });
    assert.equal(plan.band, null);
    // 343 - 224 = 119 -> round(59.5) = 60, half to even again.
    assert.equal(planCrop({ width: 343, height: 256 }, 1, geometry).crop.left, 60);
  });

  it("enlarges small images", () => {
    assert.deepEqual(planCrop({ width: 1, height: 1 }, 1, geometry).resized, { width: 256, height: 256 });
  });

  it("plans the crop of turned images on the image as displayed", () => {
    for (const orientation of [5, 6, 7, 8]) {
      const plan = planCrop({ width: 375, height: 500 }, orientation, geometry);
      assert.deepEqual(plan.resized, { width: 256, height: 341 });
      assert.deepEqual(plan.crop, { left: 58, top: 16, width: 224, height: 224 });
      assert.deepEqual(plan.displayed, { width: 500, height: 375 });
    }
  });

  it("takes orientations that EXIF does not know for upright", () => {
    const upright = planCrop({ width: 500, height: 375 }, 1, geometry);
    for (const orientation of [0, 9, 65535, -1]) {
      assert.deepEqual(planCrop({ width: 500, height: 375 }, orientation, geometry), upright);
    }
  });

  it("resizes only a centred band of very long images", () => {
    const tall = planCrop({ width: 1, height: 16_000 }, 1, geometry);
    assert.deepEqual(tall.band, { left: 0, top: 7998, width: 1, height: 4 });
    assert.deepEqual(tall.resized, { width: 256, height: 1024 });
    const odd = planCrop({ width: 65_501, height: 2 }, 1, geometry);
    assert.ok(odd.band !== null);
    assert.equal(odd.band.left * 2 + odd.band.width, 65_501, "the band is centred");
    assert.equal(planCrop({ width: 1600, height: 100 }, 1, geometry).band, null);
  });
});
