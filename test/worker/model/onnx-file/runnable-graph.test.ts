import assert from "node:assert/strict";
import { openEngine } from "../../../../src/worker/model/engines/open-engine.js";
import type { InstalledModel } from "../../../../src/worker/model/install.js";
import { edited, expectedOf, onnxFixtures, onnxPath } from "../../../support/onnx-fixtures.js";
import { useOnnxImport } from "../../../support/onnx-import.js";
import { fixtureImage } from "../../../support/weight-fixtures.js";

describe("worker/model/onnx-file/runnable-graph", function () {
  this.timeout(30_000);
  const { importFile, write } = useOnnxImport();

  /** What the engine says of a black image, then of `image`. */
  async function infer({ modelDir, model }: InstalledModel, image = fixtureImage()) {
    const engine = await openEngine({ engine: "onnx", modelDir, modelSha256: model.modelSha256, engineThreads: 1 });
    try {
      const pixels = new Uint8Array(2 * image.length);
      pixels.set(image, image.length);
      return { ...(await engine.infer(pixels, 2)), embeddingWidth: engine.embeddingWidth, classes: engine.classes };
    } finally {
      await engine.close();
    }
  }

  const assertClose = (got: Float32Array, want: readonly number[]) => {
    assert.equal(got.length, want.length);
    for (const [index, number] of want.entries())
      assert.ok(Math.abs((got[index] as number) - number) < 2e-5, `${got} against ${want}`);
  };

  for (const name of onnxFixtures) {
    it(`gives what the file itself gives for ${name}.onnx, from raw pixels, in a batch`, async () => {
      const { embeddings, logits, embeddingWidth, classes } = await infer(await importFile(onnxPath(name)));
      assertClose(embeddings.slice(embeddingWidth), expectedOf(name).embedding);
      assertClose(logits.slice(classes), expectedOf(name).logits);
    });
  }

  it("keeps apart what the file calls by the names of our own nodes and values", async () => {
    const path = await write(
      edited("torchscript", ({ node }) => {
        for (const [index, name] of ["images", "embedding", "images.Cast", "mean", "embedding.1"].entries()) {
          const before = node[index]?.output[0] ?? assert.fail();
          Object.assign(node[index] ?? assert.fail(), { name });
          for (const each of node) {
            each.input = each.input.map((value) => (value === before ? name : value));
            each.output = each.output.map((value) => (value === before ? name : value));
          }
        }
      }),
    );
    const { embeddings, logits } = await infer(await importFile(path));
    assertClose(embeddings.slice(12), expectedOf("torchscript").embedding);
    assertClose(logits.slice(5), expectedOf("torchscript").logits);
  });

  it("turns the channels around where the model wants BGR, in the order of which mean and std are", async () => {
    const image = fixtureImage();
    const turned = image.map((_, index) => image[index - (index % 3) + (2 - (index % 3))] as number);
    for (const name of ["torchscript", "bytes"] as const) {
      const straight = await infer(await importFile(onnxPath(name), { name: `${name}-rgb` }));
      const bgr = await importFile(onnxPath(name), { name: `${name}-bgr`, preprocess: { channelOrder: "BGR" } });
      assert.deepEqual(await infer(bgr, turned), straight);
      assert.notDeepEqual((await infer(bgr)).logits, straight.logits);
    }
  });
});
