import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeModel } from "../../../../src/worker/model/describe-model.js";
import { openEngine } from "../../../../src/worker/model/engines/open-engine.js";
import { listKnownModels, loadLabels, resolveModel } from "../../../../src/worker/model/known-models.js";
import { readOnnxFile } from "../../../../src/worker/model/onnx-file/stored.js";
import { summarizeOnnxFile } from "../../../../src/worker/model/onnx-file/summary.js";
import { isModelCached, readModel, removeModel } from "../../../../src/worker/model/store.js";
import { onnxPath } from "../../../support/onnx-fixtures.js";
import { useOnnxImport } from "../../../support/onnx-import.js";

describe("worker/model/onnx-file/stored", () => {
  const { cacheDir, importFile } = useOnnxImport();

  it("is found, described, listed and removed as any model", async () => {
    const { model, modelDir } = await importFile(onnxPath("external"));
    assert.deepEqual(await resolveModel(cacheDir(), "tiny"), model);
    const { embeddingWidth, classes, precision, modelSha256 } = await describeModel(cacheDir(), "tiny", "fp32");
    assert.deepEqual([embeddingWidth, classes, precision, modelSha256], [12, 5, "fp32", model.modelSha256]);
    assert.equal((await loadLabels(cacheDir(), model)).length, 5);
    const listed = await listKnownModels(cacheDir());
    assert.equal(listed.find(({ name }) => name === "tiny")?.state, "cached");
    assert.equal(await isModelCached(cacheDir(), "tiny"), true);
    await rm(join(modelDir, "external-0.bin"));
    assert.equal(await isModelCached(cacheDir(), "tiny"), false);
    assert.equal(await removeModel(cacheDir(), "tiny"), true);
  });

  it("refuses a file, external data, labels and a manifest that were changed after the import", async () => {
    const { model, modelDir } = await importFile(onnxPath("external"));
    const change = async (file: string, edit: (text: string) => string, reason: RegExp) => {
      const path = join(modelDir, file);
      const before = await readFile(path, "latin1");
      await writeFile(path, edit(before), "latin1");
      await assert.rejects(readOnnxFile(modelDir, model), { code: "MODEL_CORRUPT", message: reason });
      await writeFile(path, before, "latin1");
    };
    await change("model.onnx", (text) => text.replace("pytorch", "pyTorch"), /content has digest/);
    await change("external-0.bin", (text) => `${text.slice(0, -1)}\x01`, /content has digest/);
    await change("external-0.bin", (text) => text.slice(1), /content has digest/);
    await change("external-0.bin", (text) => `${text}\x01`, /has 4497 bytes, expected 4496 at most/);
    await change("manifest.json", (text) => text.replace("external.onnx.data", "other"), /content has digest/);
    await change(
      "manifest.json",
      (text) => text.replace('"embeddingWidth": 12', '"embeddingWidth": -1'),
      /manifest is not/,
    );
    await change(
      "manifest.json",
      (text) => text.replace('"externalData": [', '"externalData": [7,'),
      /manifest is not/,
    );
    assert.deepEqual((await readOnnxFile(modelDir, model)).model, model);
  });

  it("is refused by a manifest that gives it other sizes than its graph", async () => {
    const { model, modelDir } = await importFile(onnxPath("torchscript"));
    const path = join(modelDir, "manifest.json");
    await writeFile(path, (await readFile(path, "utf8")).replace('"embeddingWidth": 12', '"embeddingWidth": 13'));
    const wish = { engine: "onnx", modelDir, modelSha256: model.modelSha256, engineThreads: 1 } as const;
    await assert.rejects(openEngine(wish), {
      code: "MODEL_CORRUPT",
      message: /its graph gives embeddings and classes of 12 and 5, the manifest says 13 and 5/,
    });
  });

  it("has no folded weights and no int8, and says what to do", async () => {
    const { model, modelDir } = await importFile(onnxPath("torchscript"));
    const refusal = { code: "MODEL_AS_IS", message: /Model tiny is an ONNX file and runs as it is.*--precision fp32/ };
    await assert.rejects(readModel(modelDir, model.modelSha256), refusal);
    await assert.rejects(describeModel(cacheDir(), "tiny", "int8"), refusal);
    const wish = { engine: "onnx", modelDir, modelSha256: model.modelSha256, engineThreads: 1 } as const;
    await assert.rejects(openEngine({ ...wish, precision: "int8", calibration: "" }), refusal);
  });

  it("runs on no engine but onnx, and says what to do", async () => {
    const { model, modelDir } = await importFile(onnxPath("torchscript"));
    const wish = { engine: "wasm", modelDir, modelSha256: model.modelSha256, engineThreads: 1 } as const;
    await assert.rejects(openEngine(wish), {
      code: "ENGINE_UNAVAILABLE",
      message:
        /Engine wasm cannot run here: model tiny is an ONNX file, .* take --engine onnx, or import the model's weights/,
    });
  });

  it("is summarised by its nodes with constants, each constant once", async () => {
    const summarise = async (name: "keras" | "oldest") => {
      const { model, modelDir } = await importFile(onnxPath(name), { name });
      return summarizeOnnxFile(await readOnnxFile(modelDir, model));
    };
    const { opset, input, classifier, layers, totals } = await summarise("keras");
    assert.deepEqual(
      [opset, input.name, input.layout, classifier.embedding],
      [15, "input_1", "NHWC", "resnet/avg_pool/Mean:0"],
    );
    assert.deepEqual(layers, [
      { name: "resnet/conv1:0", kind: "Conv", params: 6 * 3 * 49 + 6 },
      { name: "resnet/dense/MatMul:0", kind: "MatMul", params: 30 },
      { name: "resnet/dense/BiasAdd:0", kind: "Add", params: 5 },
    ]);
    assert.deepEqual(totals, { params: 882 + 6 + 35, bytes: 4412 });
    const old = await summarise("oldest");
    assert.deepEqual(
      old.layers.map(({ kind, params }) => [kind, params]),
      [
        ["Conv", 6 * 75],
        ["Gemm", 35],
      ],
    );
  });
});
