import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findModel } from "../../../../src/worker/model/catalog.js";
import { describeModel, type ModelDescription } from "../../../../src/worker/model/describe-model.js";
import { encodeCalibration, readCalibration } from "../../../../src/worker/model/int8/calibration.js";
import { commitCalibration, requireCalibration } from "../../../../src/worker/model/int8/installed.js";
import { modelDirectory } from "../../../../src/worker/model/store.js";
import { useTempDir } from "../../../support/temp-dir.js";

const name = "resnet50";
const model = findModel(name);

describe("worker/model/int8/installed", () => {
  const tempDir = useTempDir();
  let shipped: ModelDescription;
  let path: string;

  before(async () => {
    shipped = await describeModel("no cache", name, "int8");
    path = shipped.calibration as string;
  });

  /** Puts `text` in the place of measured ranges; returns the cache. */
  const install = async (text: string): Promise<string> => {
    const cacheDir = tempDir();
    await mkdir(modelDirectory(cacheDir, name), { recursive: true });
    const file = join(cacheDir, "new.json");
    await writeFile(file, text);
    await commitCalibration(cacheDir, name, file);
    return cacheDir;
  };

  const others = async () => {
    const calibration = await readCalibration(path, model.spec);
    return { ...calibration, ranges: new Map(calibration.ranges).set("stem", [0, 17]) };
  };

  it("takes the package's ranges where the cache has none", async () => {
    assert.deepEqual(await describeModel(tempDir(), name, "int8"), shipped);
    assert.equal((await requireCalibration({ ...shipped, model, path, precision: "int8" })).images, 64);
  });

  it("takes measured ranges from the cache, as another model of int8 and the same of fp32", async () => {
    const cacheDir = await install(encodeCalibration(await others()));
    const described = await describeModel(cacheDir, name, "int8");
    assert.notEqual(described.modelSha256, shipped.modelSha256);
    assert.equal(described.calibration, join(modelDirectory(cacheDir, name), "int8.json"));
    assert.deepEqual(await describeModel(cacheDir, name, "fp32"), await describeModel(tempDir(), name, "fp32"));
  });

  it("refuses ranges that were tampered with, naming the file and what to do", async () => {
    const cacheDir = await install((await readFile(path, "utf8")).replace('"stem": [0, 1', '"stem": [0, 2'));
    const message = /int8\.json: content has digest .*run `labelmill models quantize resnet50 --calibrate SOURCE`/;
    await assert.rejects(describeModel(cacheDir, name, "int8"), { code: "MODEL_CORRUPT", message });
  });

  it("refuses ranges of other weights, and sound ranges that are not the ones asked for", async () => {
    const foreign = await install(encodeCalibration({ ...(await others()), weightsSha256: "b".repeat(64) }));
    await assert.rejects(describeModel(foreign, name, "int8"), {
      code: "MODEL_CORRUPT",
      message: /measured on weights b{64}/,
    });
    const changed = join(tempDir(), "changed.json");
    await writeFile(changed, encodeCalibration(await others()));
    const { modelSha256 } = shipped;
    await assert.rejects(requireCalibration({ model, path: changed, precision: "int8", modelSha256 }), {
      code: "MODEL_CORRUPT",
      message: new RegExp(`expected ${modelSha256}`),
    });
    await assert.rejects(requireCalibration({ model, path, precision: "int8-7bit", modelSha256 }), {
      code: "MODEL_CORRUPT",
    });
  });
});
