import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeModel, findModel } from "../../../../src/worker/model/catalog.js";
import { encodeCalibration, readCalibration } from "../../../../src/worker/model/int8/calibration.js";
import {
  commitCalibration,
  describeInstalledModel,
  requireCalibration,
} from "../../../../src/worker/model/int8/installed.js";
import { modelDirectory } from "../../../../src/worker/model/store.js";
import { useTempDir } from "../../../support/temp-dir.js";

const name = "resnet50";
const shipped = describeModel(name, "int8");
const path = shipped.calibration as string;

describe("worker/model/int8/installed", () => {
  const tempDir = useTempDir();

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
    const calibration = await readCalibration(path, findModel(name).spec);
    return { ...calibration, ranges: new Map(calibration.ranges).set("stem", [0, 17]) };
  };

  it("takes the package's ranges where the cache has none", async () => {
    assert.deepEqual(await describeInstalledModel(tempDir(), name, "int8"), shipped);
    assert.equal((await requireCalibration({ ...shipped, name, path, precision: "int8" })).images, 64);
  });

  it("takes measured ranges from the cache, as another model of int8 and the same of fp32", async () => {
    const cacheDir = await install(encodeCalibration(await others()));
    const described = await describeInstalledModel(cacheDir, name, "int8");
    assert.notEqual(described.modelSha256, shipped.modelSha256);
    assert.equal(described.calibration, join(modelDirectory(cacheDir, name), "int8.json"));
    assert.deepEqual(await describeInstalledModel(cacheDir, name, "fp32"), describeModel(name));
  });

  it("refuses ranges that were tampered with, naming the file and what to do", async () => {
    const cacheDir = await install((await readFile(path, "utf8")).replace('"stem": [0, 1', '"stem": [0, 2'));
    const message = /int8\.json: content has digest .*run `labelmill models quantize resnet50 --calibrate SOURCE`/;
    await assert.rejects(describeInstalledModel(cacheDir, name, "int8"), { code: "MODEL_CORRUPT", message });
  });

  it("refuses ranges of other weights, and sound ranges that are not the ones asked for", async () => {
    const foreign = await install(encodeCalibration({ ...(await others()), weightsSha256: "b".repeat(64) }));
    await assert.rejects(describeInstalledModel(foreign, name, "int8"), {
      code: "MODEL_CORRUPT",
      message: /measured on weights b{64}/,
    });
    const changed = join(tempDir(), "changed.json");
    await writeFile(changed, encodeCalibration(await others()));
    const { modelSha256 } = shipped;
    await assert.rejects(requireCalibration({ name, path: changed, precision: "int8", modelSha256 }), {
      code: "MODEL_CORRUPT",
      message: new RegExp(`expected ${modelSha256}`),
    });
    await assert.rejects(requireCalibration({ name, path, precision: "int8-7bit", modelSha256 }), {
      code: "MODEL_CORRUPT",
    });
  });
});
