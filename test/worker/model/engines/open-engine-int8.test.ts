import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { QuantizedPrecision } from "../../../../src/shared/precision.js";
import { openDecoder } from "../../../../src/worker/compute/decode.js";
import { findModel } from "../../../../src/worker/model/catalog.js";
import { cosine } from "../../../../src/worker/model/cosine.js";
import { describeModel, type ModelDescription } from "../../../../src/worker/model/describe-model.js";
import type { Engine } from "../../../../src/worker/model/engines/engine.js";
import { openEngine } from "../../../../src/worker/model/engines/open-engine.js";
import {
  type Calibration,
  digestInt8,
  encodeCalibration,
  readCalibration,
} from "../../../../src/worker/model/int8/calibration.js";
import { topK } from "../../../../src/worker/model/top-k.js";
import { resnet50ForTests, type TestModel } from "../../../support/model.js";
import { projectRoot } from "../../../support/shared-data.js";
import { useTempDir } from "../../../support/temp-dir.js";

const photos = ["chelsea.png", "coffee.png", "camera.png", "rocket.jpg"];

describe("worker/model/engines/open-engine, int8", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  let model: TestModel;
  let float: Engine;
  let shipped: Calibration;

  const describe = (precision: QuantizedPrecision) => describeModel(tempDir(), "resnet50", precision);
  const open = async (precision: QuantizedPrecision, described?: ModelDescription) =>
    openEngine({
      ...(described ?? (await describe(precision))),
      engine: "onnx",
      modelDir: model.modelDir,
      engineThreads: 2,
    });

  /** Other ranges in a file that is sound by its own digest, as the model that they make. */
  const installed = async (changed: Partial<Calibration>) => {
    const path = join(tempDir(), "int8.json");
    const calibration = { ...shipped, ...changed };
    await writeFile(path, encodeCalibration(calibration));
    return { ...(await describe("int8")), calibration: path, modelSha256: digestInt8(calibration, "int8") };
  };

  before(async () => {
    model = await resnet50ForTests();
    const { modelDir, modelSha256 } = model;
    float = await openEngine({ engine: "onnx", modelDir, modelSha256, engineThreads: 2 });
    shipped = await readCalibration(
      (await describeModel(model.cacheDir, "resnet50", "int8")).calibration as string,
      findModel("resnet50").spec,
    );
  });
  after(() => float?.close());

  it("refuses any engine but onnx, rather than run onnx in its name", async () => {
    const options = { ...(await describe("int8")), modelDir: model.modelDir, engineThreads: 2 };
    await assert.rejects(openEngine({ ...options, engine: "wasm" }), {
      code: "ENGINE_UNAVAILABLE",
      message: /wasm.*it computes in fp32 alone, not in int8; take --engine onnx or --precision fp32/,
    });
  });

  for (const [precision, least] of [
    ["int8", 0.995],
    ["int8-7bit", 0.99],
  ] as const) {
    it(`labels the example photos as fp32 does, with embeddings of cosine ${least} at least, in ${precision}`, async () => {
      const engine = await open(precision);
      const decoder = openDecoder({ preprocess: findModel("resnet50").preprocess, maxPixels: 1e8 });
      try {
        for (const photo of photos) {
          const outcome = await decoder.decode(await readFile(join(projectRoot, "examples/photos", photo)));
          assert.ok(outcome.ok);
          const [expected, got] = [
            await float.infer(outcome.value.pixels, 1),
            await engine.infer(outcome.value.pixels, 1),
          ];
          assert.deepEqual(topK(got.logits, 1).indices, topK(expected.logits, 1).indices);
          const similarity = cosine(got.embeddings, expected.embeddings);
          // Less than 1 also shows that it is not the float32 model that runs.
          assert.ok(similarity > least && similarity < 0.9999, `${photo}: ${similarity}`);
        }
      } finally {
        await engine.close();
      }
    });
  }

  it("refuses a graph whose golden embeddings are off, and names the precisions that are left", async () => {
    const ranges = new Map([...shipped.ranges].map(([name, [min, max]]) => [name, [min / 4, max / 4] as const]));
    await assert.rejects(open("int8", await installed({ ranges })), {
      code: "ENGINE_UNAVAILABLE",
      message: /int8 the golden .* cosine 0\.\d{3} .* expected 0\.99 .*`--precision int8-7bit`.*`--precision fp32`/,
    });
  });

  it("refuses golden embeddings that are not numbers", async () => {
    const golden = shipped.golden.map((embedding) => embedding.map(() => Number.NaN));
    await assert.rejects(open("int8", await installed({ golden })), { code: "ENGINE_UNAVAILABLE" });
  });

  it("refuses ranges that do not give the digest asked for", async () => {
    const other = await installed({ ranges: new Map(shipped.ranges).set("stem", [0, 16]) });
    await assert.rejects(open("int8", { ...other, modelSha256: (await describe("int8")).modelSha256 }), {
      code: "MODEL_CORRUPT",
    });
  });

  it("does not take the float32 model for int8 where the ranges are missing", async () => {
    const described = await describe("int8");
    await assert.rejects(open("int8", { ...described, calibration: null }), { code: "MODEL_CORRUPT" });
    await assert.rejects(open("int8", { ...described, calibration: join(tempDir(), "none.json") }), {
      code: "MODEL_CORRUPT",
      message: /ENOENT/,
    });
  });
});
