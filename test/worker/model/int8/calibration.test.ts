import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findModel } from "../../../../src/worker/model/catalog.js";
import { valueNamesOf } from "../../../../src/worker/model/compose.js";
import {
  type Calibration,
  digestInt8,
  encodeCalibration,
  rangesOf,
  readCalibration,
} from "../../../../src/worker/model/int8/calibration.js";
import { useTempDir } from "../../../support/temp-dir.js";
import { tinySpec } from "../../../support/tiny-resnet.js";

const names = valueNamesOf(tinySpec);
const sample: Calibration = {
  weightsSha256: "a".repeat(64),
  images: 11,
  ranges: new Map(names.map((name, i) => [name, [0 - i, i + 0.25]])),
  golden: [
    Float32Array.of(0.1, 2, 3e-9, 4, 5, 6),
    Float32Array.of(4, 5, 6, 7, 8, 9),
    Float32Array.of(7, 8, 9, 1, 2, 3),
  ],
};

describe("worker/model/int8/calibration", () => {
  const tempDir = useTempDir();

  it("covers 90 % of the images, and in the last stage all of them with a margin", () => {
    const observed = Array.from({ length: 11 }, (_, image) => ({
      minima: new Float32Array(names.length).fill(-image),
      maxima: new Float32Array(names.length).fill(2 * image),
    }));
    const ranges = rangesOf(tinySpec, observed);
    assert.deepEqual([...ranges.keys()], names);
    assert.deepEqual(ranges.get("stem"), [-9, 18]);
    assert.deepEqual(ranges.get("stage1.block2.sum"), [-9, 18]);
    assert.deepEqual(ranges.get("stage2.block1.reduce"), [-15, 30]);
    assert.deepEqual(ranges.get("stage2.block1.sum"), [-15, 30]);
  });

  it("reads what it wrote", async () => {
    const path = join(tempDir(), "int8.json");
    await writeFile(path, encodeCalibration(sample));
    assert.deepEqual(await readCalibration(path, tinySpec), sample);
  });

  it("gives a digest that changes with a range, the weights and the precision, and with nothing else", () => {
    const digest = digestInt8(sample, "int8");
    assert.match(digest, /^[0-9a-f]{64}$/);
    const others = [
      digestInt8(sample, "int8-7bit"),
      digestInt8({ ...sample, weightsSha256: "b".repeat(64) }, "int8"),
      digestInt8({ ...sample, ranges: new Map(sample.ranges).set("stem", [0, 0.26]) }, "int8"),
    ];
    assert.equal(new Set([digest, ...others]).size, 4);
    assert.equal(digestInt8({ ...sample, images: 1, golden: [] }, "int8"), digest);
  });

  it("refuses a file with one changed digit, a truncated one and one of another network", async () => {
    const path = join(tempDir(), "int8.json");
    const text = encodeCalibration(sample);
    await writeFile(path, text.replace('"stem": [0, 0.25]', '"stem": [0, 0.35]'));
    await assert.rejects(readCalibration(path, tinySpec), /content has digest/);
    await writeFile(path, text.slice(0, -20));
    await assert.rejects(readCalibration(path, tinySpec), SyntaxError);
    await writeFile(path, "{}");
    await assert.rejects(readCalibration(path, tinySpec), /not in the form of this version/);
    await writeFile(path, text);
    await assert.rejects(readCalibration(path, findModel("resnet50").spec), /range stage2.block1.reduce is of another/);
    const less = { ...tinySpec, stages: [...tinySpec.stages, { blocks: 1, width: 4 }] };
    await assert.rejects(readCalibration(path, less), /range stage3.block1.reduce is missing/);
  });

  it("refuses fewer golden embeddings than there are images, and embeddings of another width", async () => {
    const path = join(tempDir(), "int8.json");
    const refused = async (golden: readonly Float32Array[], reason: RegExp) => {
      await writeFile(path, encodeCalibration({ ...sample, golden }));
      await assert.rejects(readCalibration(path, tinySpec), reason);
    };
    await refused([], /golden embeddings of 0 numbers, expected 3 of 6$/);
    await refused(sample.golden.slice(1), /golden embeddings of 6, 6 numbers, expected 3 of 6$/);
    await refused([...sample.golden.slice(1), new Float32Array(5)], /of 6, 6, 5 numbers, expected 3 of 6$/);
  });

  it("finds in the package the ranges that the catalog pins", async () => {
    const { spec, modelSha256, int8Sha256 } = findModel("resnet50");
    const path = new URL("../../../../../assets/resnet50-int8.json", import.meta.url).pathname;
    const shipped = await readCalibration(path, spec);
    assert.equal(shipped.weightsSha256, modelSha256);
    for (const precision of ["int8", "int8-7bit"] as const) {
      assert.equal(digestInt8(shipped, precision), int8Sha256?.[precision]);
    }
    assert.equal(encodeCalibration(shipped), await readFile(path, "utf8"));
  });
});
