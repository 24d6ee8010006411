import assert from "node:assert/strict";
import { describeBound } from "../../src/cli/describe-run.js";

describe("cli/describe-run", () => {
  it("says what bounds a run, for how much of the time, and what would help", () => {
    const of = (boundBy: string | null, share: number, precision?: string) =>
      describeBound({
        boundBy,
        stageShares: boundBy === null ? {} : { [boundBy]: share },
        ...(precision && { precision }),
      });
    assert.match(of("inference", 0.93, "fp32") ?? "", /^inference \(93 % of the time\); --precision int8, a GPU/);
    assert.match(of("inference", 0.93, "int8") ?? "", /^inference \(93 % of the time\); a GPU/);
    assert.match(of("decode", 0.78) ?? "", /^decode \(78 % of the time\); more cores/);
    assert.match(of("fetch", 1) ?? "", /^fetch \(100 % of the time\); more --fetch-concurrency/);
  });

  it("blames no stage for what takes less than half of the time, and claims nothing that was not measured", () => {
    assert.equal(describeBound({ boundBy: "decode", stageShares: { decode: 0.3 } }), "decode (30 % of the time)");
    assert.equal(describeBound({ boundBy: "decode", stageShares: {} }), "decode");
    assert.equal(describeBound({ boundBy: null, stageShares: {} }), null);
  });
});
