import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { findModel } from "../../../../src/worker/model/catalog.js";
import type { Engine } from "../../../../src/worker/model/engines/engine.js";
import { openEngine } from "../../../../src/worker/model/engines/open-engine.js";
import { loadLabels } from "../../../../src/worker/model/known-models.js";
import { type TopK, topK } from "../../../../src/worker/model/top-k.js";
import { resnet50ForTests, type TestModel } from "../../../support/model.js";

const { preprocess } = findModel("resnet50");
const repository = new URL("../../../../../", import.meta.url);
const labelled = new URL("../shared/photos-labelled/", repository);

/** The middle of the image as the preprocessing data says, without the product's own decoder. */
async function prepare(photo: URL): Promise<Uint8Array> {
  const { shortestSide, cropSize, kernel } = preprocess;
  const resized = sharp(await readFile(photo))
    .flatten({ background: "#fff" })
    .toColourspace("srgb");
  const { data, info } = await resized
    .resize(shortestSide, shortestSide, { fit: "outside", kernel })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const [left, top] = [info.width - cropSize, info.height - cropSize].map((margin) => Math.floor(margin / 2));
  const region = { left: left ?? 0, top: top ?? 0, width: cropSize, height: cropSize };
  return sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
    .extract(region)
    .raw()
    .toBuffer();
}

describe("worker/model/engines/open-engine", function () {
  this.timeout(300_000);
  let model: TestModel;
  let engine: Engine;
  let labels: readonly string[];

  const classify = async (photo: URL): Promise<TopK> => topK((await engine.infer(await prepare(photo), 1)).logits, 5);

  before(async () => {
    model = await resnet50ForTests();
    const { modelDir, modelSha256 } = model;
    engine = await openEngine({ engine: "onnx", modelDir, modelSha256, engineThreads: 2 });
    labels = await loadLabels(model.cacheDir, findModel("resnet50"));
  });
  after(() => engine?.close());

  it("reports what runs", () => {
    assert.deepEqual([engine.name, engine.embeddingWidth, engine.classes], ["onnx/cpu", 2048, 1000]);
  });

  for (const [file, label, least] of [
    ["chelsea.png", "Egyptian_cat", 0.7],
    ["coffee.png", "espresso", 0.98],
    ["camera.png", "tripod", 0.95],
  ] as const) {
    it(`sees ${label} in ${file}`, async () => {
      const { indices, scores } = await classify(new URL(`examples/photos/${file}`, repository));
      assert.equal(labels[indices[0] as number], label);
      assert.ok((scores[0] as number) >= least, `score ${scores[0]}`);
    });
  }

  it("gives the same numbers for a photo alone and in a batch", async () => {
    const photo = await prepare(new URL("examples/photos/coffee.png", repository));
    const alone = await engine.infer(photo, 1);
    const batch = await engine.infer(new Uint8Array([...new Uint8Array(photo.length), ...photo]), 2);
    assert.deepEqual(batch.embeddings.slice(2048), alone.embeddings);
    assert.deepEqual(batch.logits.slice(1000), alone.logits);
  });

  it("labels photos of known content: top-1 at least 88 %, top-5 at least 97 %", async function () {
    if (!existsSync(labelled)) return this.skip();
    const lines = (await readFile(new URL("labels.tsv", labelled), "utf8")).trim().split("\n").slice(1);
    let [top1, top5] = [0, 0];
    for (const line of lines) {
      const [index, file] = line.split("\t");
      const { indices } = await classify(new URL(file ?? "", labelled));
      if (indices[0] === Number(index)) top1 += 1;
      if (indices.includes(Number(index))) top5 += 1;
    }
    assert.ok(top1 / lines.length >= 0.88, `top-1 ${top1} of ${lines.length}`);
    assert.ok(top5 / lines.length >= 0.97, `top-5 ${top5} of ${lines.length}`);
  });

  it("refuses a digest that the cached weights do not have", async () => {
    const opening = openEngine({
      engine: "onnx",
      modelDir: model.modelDir,
      modelSha256: "f".repeat(64),
      engineThreads: 1,
    });
    await assert.rejects(opening, { code: "MODEL_CORRUPT" });
  });
});
