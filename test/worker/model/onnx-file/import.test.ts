import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { findModel } from "../../../../src/worker/model/catalog.js";
import { loadLabels } from "../../../../src/worker/model/known-models.js";
import type { ImportOnnxOptions } from "../../../../src/worker/model/onnx-file/import.js";
import { torchvisionPreprocess } from "../../../../src/worker/model/preprocess.js";
import { onnxPath } from "../../../support/onnx-fixtures.js";
import { useOnnxImport } from "../../../support/onnx-import.js";

describe("worker/model/onnx-file/import", () => {
  const { tempDir, cacheDir, importFile, write, refuses } = useOnnxImport();

  it("keeps what it found, the preprocessing that such files usually want, and the file's own digest", async () => {
    const { model } = await importFile(onnxPath("torchscript"));
    assert.deepEqual([model.title, model.spec], ["ONNX file torchscript.onnx", undefined]);
    assert.deepEqual(model.onnx, { embeddingWidth: 12, classes: 5, externalData: [] });
    assert.deepEqual(model.preprocess, torchvisionPreprocess);
    assert.deepEqual(await loadLabels(cacheDir(), model), ["class_0", "class_1", "class_2", "class_3", "class_4"]);
    const keras = await importFile(onnxPath("keras"), { name: "keras" });
    assert.deepEqual(keras.model.preprocess, findModel("resnet50").preprocess);
    const bytes = await importFile(onnxPath("bytes"), { name: "bytes" });
    assert.deepEqual(
      [bytes.model.preprocess.mean, bytes.model.preprocess.std],
      [
        [0, 0, 0],
        [1, 1, 1],
      ],
    );
    const manifest = JSON.parse(await readFile(join(cacheDir(), "models/tiny/manifest.json"), "utf8"));
    const digest = createHash("sha256")
      .update(await readFile(onnxPath("torchscript")))
      .digest("hex");
    assert.equal(manifest.imported.sourceSha256, digest);
  });

  it("gives another digest for other bytes, external data and labels", async () => {
    const digestOf = async (path: string, options: Partial<ImportOnnxOptions> = {}) =>
      (await importFile(path, { name: `m${digests.size}`, ...options })).model.modelSha256;
    const digests = new Set<string>();
    digests.add(await digestOf(onnxPath("torchscript")));
    digests.add(
      await digestOf(onnxPath("torchscript"), { labelsPath: await write(Buffer.from("a\nb\nc\nd\ne\n"), "l") }),
    );
    digests.add(await digestOf(onnxPath("external")));
    const path = join(tempDir(), "external.onnx");
    await copyFile(onnxPath("external"), path);
    const data = await readFile(`${onnxPath("external")}.data`);
    data[0] = (data[0] as number) ^ 1;
    await write(data, "external.onnx.data");
    digests.add(await digestOf(path));
    assert.equal(digests.size, 4);
  });

  it("leaves nothing in the cache where the proof fails", async () => {
    const prove = async (directory: string) => {
      assert.deepEqual((await readdir(directory)).sort(), [
        "external-0.bin",
        "labels.json",
        "manifest.json",
        "model.onnx",
      ]);
      throw new Error("ONNX Runtime says no");
    };
    await assert.rejects(importFile(onnxPath("external"), { prove }), {
      code: "MODEL_INVALID",
      message: /external\.onnx are not usable: ONNX Runtime says no/,
    });
    assert.deepEqual(await readdir(join(cacheDir(), "models")), []);
  });

  it("refuses what is not a whole ONNX file", async () => {
    const whole = await readFile(onnxPath("torchscript"));
    await refuses(await write(new Uint8Array()), /it holds no graph/);
    await refuses(await write(Buffer.from("labels, one a line\n")), /truncated or not an ONNX model/);
    for (const bytes of [5, 100, whole.length / 2, whole.length - 30])
      await refuses(await write(whole.subarray(0, bytes)), /truncated or not an ONNX model|holds no graph/);
    await refuses(await write(whole.subarray(0, whole.length - 4)), /truncated or not an ONNX model|no version/);
    await refuses(join(tempDir(), "none.onnx"), /ENOENT/);
    await mkdir(join(tempDir(), "folder.onnx"));
    await refuses(join(tempDir(), "folder.onnx"), /is not a regular file/);
  });

  it("refuses files of 2 GiB before it reads them", async () => {
    const path = await write(new Uint8Array());
    await truncate(path, 2 ** 31);
    await refuses(path, /bad\.onnx has 2147483648 bytes, expected 2147483647 at most/);
    await copyFile(onnxPath("external"), path);
    await truncate(await write(new Uint8Array(), "external.onnx.data"), 2 ** 31);
    await refuses(path, /tensor \S+ lies in external\.onnx\.data: \S+ has 2147483648 bytes, expected \d+ at most/);
  });

  it("refuses labels and preprocessing that do not fit the model, and taken names", async () => {
    const labelsPath = await write(Buffer.from("a\nb\n"), "labels.txt");
    await assert.rejects(importFile(onnxPath("keras"), { labelsPath }), {
      code: "OPTION_INVALID",
      message: /`labels` to be a text file of 5 labels/,
    });
    await assert.rejects(importFile(onnxPath("bytes"), { preprocess: { mean: [1, 2, 3] } }), {
      code: "OPTION_INVALID",
      message: /`mean` to be left out for a model whose input is uint8, got `1,2,3`/,
    });
    await importFile(onnxPath("bytes"));
    await assert.rejects(importFile(onnxPath("bytes")), { code: "MODEL_NAME" });
  });
});
