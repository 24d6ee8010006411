import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { findModel } from "../../../src/worker/model/catalog.js";
import { preprocessSha256 } from "../../../src/worker/model/preprocess.js";

const { preprocess } = findModel("resnet50");

describe("worker/model/preprocess", () => {
  it("hashes canonical JSON: sorted keys, no white space", () => {
    const canonical =
      '{"channelOrder":"BGR","cropSize":224,"kernel":"linear","mean":[103.939,116.779,123.68],"shortestSide":256,"std":[1,1,1]}';
    assert.equal(preprocessSha256(preprocess), createHash("sha256").update(canonical).digest("hex"));
  });

  it("does not depend on the order in which the object was written", () => {
    const reversed = Object.fromEntries(Object.entries(preprocess).reverse()) as unknown as typeof preprocess;
    assert.equal(preprocessSha256(reversed), preprocessSha256(preprocess));
  });

  it("changes with every value", () => {
    const others = [
      { shortestSide: 232 },
      { kernel: "cubic" as const },
      { channelOrder: "RGB" as const },
      { mean: [0, 0, 0] as const },
    ].map((change) => preprocessSha256({ ...preprocess, ...change }));
    assert.equal(new Set([preprocessSha256(preprocess), ...others]).size, 5);
  });
});
