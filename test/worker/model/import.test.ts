import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findModel } from "../../../src/worker/model/catalog.js";
import { openEngine } from "../../../src/worker/model/engines/open-engine.js";
import { type ImportOptions, importModel } from "../../../src/worker/model/import.js";
import { loadLabels } from "../../../src/worker/model/known-models.js";
import { layersOf, type ResNetSpec } from "../../../src/worker/model/spec.js";
import { readManifest, readModel } from "../../../src/worker/model/store.js";
import { foldWeights, type SourceWeights } from "../../../src/worker/model/weights/fold.js";
import { keras } from "../../../src/worker/model/weights/naming.js";
import { bytesOf } from "../../../src/worker/model/weights/tensor.js";
import { readWeightFile } from "../../../src/worker/model/weights/weight-file.js";
import { useTempDir } from "../../support/temp-dir.js";
import { randomSource, tinySpec } from "../../support/tiny-resnet.js";
import { fixtureImage, fixtureLogits, fixturePath, gunzippedFixture } from "../../support/weight-fixtures.js";

describe("worker/model/import", () => {
  const tempDir = useTempDir();
  const cacheDir = () => join(tempDir(), "cache");
  const importFile = (path: string, options: Partial<ImportOptions> = {}) =>
    importModel({ cacheDir: cacheDir(), name: "tiny", path, ...options });
  const importFixture = (name: string, options: Partial<ImportOptions> = {}) => importFile(fixturePath(name), options);

  /** What our engine says of the image that PyTorch was asked about. */
  async function logitsOf({ modelDir, model }: Awaited<ReturnType<typeof importModel>>): Promise<number[]> {
    const engine = await openEngine({ engine: "onnx", modelDir, modelSha256: model.modelSha256, engineThreads: 1 });
    try {
      return [...(await engine.infer(fixtureImage(), 1)).logits];
    } finally {
      await engine.close();
    }
  }

  for (const [file, expected] of [
    ["state-dict.pth", "torchvision"],
    ["checkpoint.pth", "torchvision"],
    ["data-parallel.pth", "torchvision"],
    ["channels-last.pth", "torchvision"],
    ["torchvision.safetensors", "torchvision"],
    ["hugging-face.safetensors", "huggingFace"],
    ["half.pth", "half"],
    ["bfloat16.safetensors", "bfloat16"],
    ["basic.safetensors", "basic"],
    ["hugging-face-basic.safetensors", "huggingFaceBasic"],
  ] as const) {
    it(`gives PyTorch's logits for ${file}`, async () => {
      const logits = await logitsOf(await importFixture(file));
      for (const [index, logit] of fixtureLogits()[expected].entries())
        assert.ok(
          Math.abs((logits[index] ?? Number.NaN) - logit) < 2e-5,
          `${logits} against ${fixtureLogits()[expected]}`,
        );
    });
  }

  for (const [fixture, expected, epsilon] of [
    ["keras-applications.h5", "kerasApplications", 1.001e-5],
    ["keras-whole-model.h5", "kerasWholeModel", 0.001],
  ] as const) {
    it(`gives Keras's logits for ${fixture}, with Keras's stride, epsilon and preprocessing`, async () => {
      const path = join(tempDir(), fixture);
      await writeFile(path, gunzippedFixture(`${fixture}.gz`));
      const imported = await importFile(path);
      const { spec, preprocess } = imported.model;
      assert.deepEqual([spec.stridePlacement, spec.batchNormEpsilon, spec.convBias], ["first-1x1", epsilon, true]);
      assert.deepEqual(preprocess, findModel("resnet50").preprocess);
      const logits = await logitsOf(imported);
      for (const [index, logit] of fixtureLogits()[expected].entries())
        assert.ok(Math.abs((logits[index] ?? Number.NaN) - logit) < 2e-5 * Math.abs(logit), String(logits));
    });
  }

  it("imports the directory of a TensorFlow.js layers model with Keras's stride, epsilon and preprocessing", async () => {
    const spec = { ...tinySpec, inputSize: 224 };
    const source = randomSource(spec);
    const { model, modelDir } = await importFile(await writeTfjs(spec, source));
    assert.deepEqual(model.spec, spec);
    assert.deepEqual(model.preprocess, findModel("resnet50").preprocess);
    const { weights } = await readModel(modelDir, model.modelSha256);
    assert.deepEqual(weights, foldWeights(spec, source));
  });

  /** Writes `source` as tensorflowjs_converter would: kernels `[k, k, in, out]`, all in one shard. */
  async function writeTfjs(spec: ResNetSpec, source: SourceWeights): Promise<string> {
    const weights: { name: string; shape: number[]; dtype: string }[] = [];
    const data: Float32Array[] = [];
    const add = (name: string, shape: number[], numbers: Float32Array | null) => {
      weights.push({ name, shape, dtype: "float32" });
      data.push(numbers ?? assert.fail(name));
    };
    const { convolutions, embeddingWidth } = layersOf(spec);
    for (const { name, kernel, inChannels, outChannels } of convolutions) {
      const names = keras.layer(name);
      const conv = source.convs.get(name) ?? assert.fail(name);
      const sizes = { area: kernel * kernel, inputs: inChannels, outputs: outChannels };
      add(names.kernel, [kernel, kernel, inChannels, outChannels], outputsLast(conv.kernel, sizes));
      for (const part of ["bias", "gamma", "beta", "mean", "variance"] as const)
        add(names[part], [outChannels], conv[part]);
    }
    const sizes = { area: 1, inputs: embeddingWidth, outputs: spec.classes };
    add(keras.fcWeight, [embeddingWidth, spec.classes], outputsLast(source.fcWeight, sizes));
    add(keras.fcBias, [spec.classes], source.fcBias);
    const directory = join(tempDir(), "layers-model");
    await mkdir(directory);
    await writeFile(
      join(directory, "model.json"),
      JSON.stringify({ weightsManifest: [{ paths: ["a.bin"], weights }] }),
    );
    await writeFile(join(directory, "a.bin"), Buffer.concat(data.map(bytesOf)));
    return directory;
  }

  function outputsLast(
    data: Float32Array,
    { area, inputs, outputs }: { area: number; inputs: number; outputs: number },
  ) {
    return Float32Array.from(data, (_, index) => {
      const [pixel, input, output] = [
        Math.floor(index / (inputs * outputs)),
        Math.floor(index / outputs) % inputs,
        index % outputs,
      ];
      return data[(output * inputs + input) * area + pixel] as number;
    });
  }

  it("detects the architecture and keeps what it detected with the weights", async () => {
    const { model, modelDir } = await importFixture("state-dict.pth");
    const { title, spec, preprocess } = model;
    assert.equal(title, "ResNet-11, from state-dict.pth");
    assert.deepEqual(spec, {
      inputSize: 224,
      stemWidth: 4,
      stages: [
        { blocks: 2, width: 2 },
        { blocks: 1, width: 3 },
      ],
      expansion: 4,
      stridePlacement: "3x3",
      convBias: false,
      batchNormEpsilon: 1e-5,
      classes: 5,
    });
    assert.deepEqual([preprocess.channelOrder, preprocess.mean[0].toFixed(3)], ["RGB", "123.675"]);
    const { source, imported } = await readManifest(modelDir);
    const { sha256 } = await readWeightFile(fixturePath("state-dict.pth"));
    assert.deepEqual([source, imported?.sourceSha256, imported?.labels.count], ["state-dict.pth", sha256, 5]);
  });

  it("detects basic blocks, and finds them again in the cache", async () => {
    for (const [name, file] of [
      ["vision", "basic.safetensors"],
      ["hugging", "hugging-face-basic.safetensors"],
    ] as const) {
      const { model, modelDir } = await importFixture(file, { name });
      const { block, stages, expansion, stridePlacement } = model.spec;
      assert.equal(model.title, `ResNet-8, from ${file}`);
      assert.deepEqual(
        [block, expansion, stridePlacement, stages.map(({ blocks, width }) => [blocks, width])],
        [
          "basic",
          1,
          "3x3",
          [
            [2, 4],
            [1, 6],
          ],
        ],
      );
      assert.deepEqual((await readModel(modelDir, model.modelSha256)).model, model);
    }
  });

  it("refuses a stride in the first 1x1 for basic blocks, which have none", async () => {
    const refused = importFixture("basic.safetensors", { stridePlacement: "first-1x1" });
    await assert.rejects(refused, { code: "MODEL_INVALID", message: /blocks are basic.*--stride first-1x1/ });
  });

  it("gives one digest for the same weights from every format, and others for other strides and labels", async () => {
    const digest = async (file: string, options: Partial<ImportOptions> = {}) => {
      const name = `m${Math.random().toString(36).slice(2)}`;
      return (await importFixture(file, { name, ...options })).model.modelSha256;
    };
    const labelsPath = join(tempDir(), "labels.txt");
    await writeFile(labelsPath, "ant\nbee\ncat\ndog\nelk\n");
    const [pth, safetensors, stride, labels] = await Promise.all([
      digest("state-dict.pth"),
      digest("torchvision.safetensors"),
      digest("state-dict.pth", { stridePlacement: "first-1x1" }),
      digest("state-dict.pth", { labelsPath }),
    ]);
    assert.equal(pth, safetensors);
    assert.equal(new Set([pth, stride, labels]).size, 3);
  });

  it("takes stride, epsilon and preprocessing as given", async () => {
    const preprocess = { mean: [1, 2, 3], std: [4, 5, 6], channelOrder: "BGR", shortestSide: 232 } as const;
    const given = await importFixture("state-dict.pth", {
      stridePlacement: "first-1x1",
      batchNormEpsilon: 0.1,
      preprocess,
    });
    assert.deepEqual(given.model.preprocess, { ...preprocess, cropSize: 224, kernel: "linear" });
    const logits = await logitsOf(given);
    assert.ok(Math.abs((logits[0] ?? 0) - (fixtureLogits().torchvision[0] ?? 0)) > 0.01, String(logits));
  });

  it("numbers the labels of classes that are not ImageNet's, and takes a list of its own", async () => {
    const { model } = await importFixture("state-dict.pth");
    assert.deepEqual(await loadLabels(cacheDir(), model), ["class_0", "class_1", "class_2", "class_3", "class_4"]);
    const labelsPath = join(tempDir(), "labels.txt");
    await writeFile(labelsPath, "\uFEFFant\r\nbee\r\ncat\r\ndog\r\nelk\r\n");
    const named = await importFixture("state-dict.pth", { name: "named", labelsPath });
    assert.deepEqual(await loadLabels(cacheDir(), named.model), ["ant", "bee", "cat", "dog", "elk"]);
    for (const [text, found] of [
      ["ant\nbee\n", /it has 2 lines/],
      ["ant\n\ncat\ndog\nelk\n", /line 2 is empty/],
    ] as const) {
      await writeFile(labelsPath, text);
      const refused = importFixture("state-dict.pth", { name: "other", labelsPath });
      await assert.rejects(refused, { code: "OPTION_INVALID", message: found });
    }
  });

  it("refuses names that are taken, of the catalog, or no names, and keeps the model that is there", async () => {
    const { model } = await importFixture("state-dict.pth");
    for (const [name, reason] of [
      ["tiny", /a model has it; `labelmill models rm tiny` removes that one/],
      ["resnet50", /it is a model of the catalog/],
      ["Mine", /expected lower-case letters/],
      ["../mine", /expected lower-case letters/],
    ] as const)
      await assert.rejects(importFixture("half.pth", { name }), { code: "MODEL_NAME", message: reason });
    assert.equal((await readManifest(join(cacheDir(), "models/tiny"))).modelSha256, model.modelSha256);
  });

  it("lets one of two imports have the name, whole", async () => {
    const both = await Promise.allSettled([importFixture("state-dict.pth"), importFixture("half.pth")]);
    const [done, refused] = both.sort((a) => (a.status === "fulfilled" ? -1 : 1));
    if (done?.status !== "fulfilled" || refused?.status !== "rejected") return assert.fail(JSON.stringify(both));
    assert.equal(refused.reason.code, "MODEL_NAME");
    assert.equal((await logitsOf(done.value)).length, 5);
  });
});
