import assert from "node:assert/strict";
import { precisions } from "../../../src/shared/precision.js";
import { describeModel } from "../../../src/worker/model/describe-model.js";
import { importModel } from "../../../src/worker/model/import.js";
import { useTempDir } from "../../support/temp-dir.js";
import { fixturePath } from "../../support/weight-fixtures.js";

describe("worker/model/describe-model", () => {
  const cacheDir = useTempDir();

  it("describes each precision as a model of its own, of the same preprocessing", async () => {
    const described = await Promise.all(precisions.map((each) => describeModel(cacheDir(), "resnet50", each)));
    assert.deepEqual(
      described.map(({ precision }) => precision),
      precisions,
    );
    assert.equal(new Set(described.map(({ modelSha256 }) => modelSha256)).size, precisions.length);
    assert.equal(new Set(described.map(({ preprocessSha256 }) => preprocessSha256)).size, 1);
    assert.equal(described[0]?.calibration, null);
    assert.match(described[1]?.calibration ?? "", /assets\/resnet50-int8\.json$/);
  });

  it("knows no int8 of an imported model before its ranges are measured, and says how", async () => {
    await importModel({ cacheDir: cacheDir(), name: "tiny", path: fixturePath("state-dict.pth") });
    assert.equal((await describeModel(cacheDir(), "tiny", "fp32")).calibration, null);
    await assert.rejects(describeModel(cacheDir(), "tiny", "int8"), {
      code: "MODEL_NOT_QUANTIZED",
      message: /run `labelmill models quantize tiny --calibrate SOURCE`, or take --precision fp32/,
    });
  });
});
