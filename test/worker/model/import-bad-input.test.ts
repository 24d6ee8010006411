import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { importModel } from "../../../src/worker/model/import.js";
import { layersOf, type ResNetSpec } from "../../../src/worker/model/spec.js";
import { namingOf } from "../../../src/worker/model/weights/naming.js";
import { toFloat32 } from "../../../src/worker/model/weights/raw-tensor.js";
import { encodeSafetensors } from "../../../src/worker/model/weights/safetensors.js";
import type { Tensor } from "../../../src/worker/model/weights/tensor.js";
import { readWeightFile } from "../../../src/worker/model/weights/weight-file.js";
import { useTempDir } from "../../support/temp-dir.js";
import { randomSource, tinyBasicSpec } from "../../support/tiny-resnet.js";
import { fixturePath } from "../../support/weight-fixtures.js";

/** A sound file of that network, but for what the spec says. */
function torchvisionTensors(spec: ResNetSpec): Tensor[] {
  const { convs, fcWeight, fcBias } = randomSource(spec);
  const { convolutions, embeddingWidth } = layersOf(spec);
  const tensors = convolutions.flatMap(({ name, inChannels, outChannels, kernel }): Tensor[] => {
    const conv = convs.get(name) ?? assert.fail();
    const names = namingOf(["conv1.weight"]).layer(name);
    const statistics = (["gamma", "beta", "mean", "variance"] as const).map((part) => ({
      name: names[part],
      shape: [outChannels],
      data: conv[part],
    }));
    return [{ name: names.kernel, shape: [outChannels, inChannels, kernel, kernel], data: conv.kernel }, ...statistics];
  });
  const weight = { name: "fc.weight", shape: [spec.classes, embeddingWidth], data: fcWeight };
  return [...tensors, weight, { name: "fc.bias", shape: [spec.classes], data: fcBias }];
}

describe("worker/model/import, of bad input", () => {
  const tempDir = useTempDir();
  const cacheDir = () => join(tempDir(), "cache");
  async function tensorsOf(file: string): Promise<Tensor[]> {
    return (await readWeightFile(fixturePath(file))).tensors.map(toFloat32);
  }
  const write = async (bytes: Uint8Array | readonly Uint8Array[]) => {
    const path = join(tempDir(), "bad.bin");
    await writeFile(path, Buffer.concat([bytes].flat() as Uint8Array[]));
    return path;
  };
  async function assertRefused(path: string, reason: RegExp): Promise<void> {
    await assert.rejects(
      importModel({ cacheDir: cacheDir(), name: "tiny", path }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "MODEL_INVALID", error.stack);
        assert.ok(error.message.startsWith(`The weights of ${path} are not usable: `), error.message);
        assert.match(error.message, reason);
        return true;
      },
    );
    assert.deepEqual(await readdir(cacheDir()).catch(() => []), []);
  }
  const assertTampered = async (tamper: (tensors: Tensor[]) => Tensor[], reason: RegExp) =>
    assertRefused(await write(encodeSafetensors(tamper(await tensorsOf("state-dict.pth")))), reason);

  it("refuses a cut, a tampered and a foreign file, and keeps nothing", async () => {
    const whole = await readFile(fixturePath("state-dict.pth"));
    await assertRefused(await write(whole.subarray(0, 20_000)), /cut short/);
    const flipped = Buffer.from(whole);
    flipped[5_000] = (flipped[5_000] as number) ^ 1;
    await assertRefused(await write(flipped), /the zip entry state-dict\/data.pkl is damaged/);
    await assertRefused(fixturePath("before-1.6.pth"), /format before 1.6/);
    await assertRefused(fixturePath("logits.json"), /no safetensors file, no zip archive/);
    await assertRefused(join(tempDir(), "nothing.pth"), /ENOENT/);
  });

  it("refuses a pickle that would run something, and names it", async () => {
    await assertRefused(fixturePath("whole-module.pth"), /byte \d+ of the pickle: the global \S+ is not allowed/);
  });

  it("refuses missing and unknown tensors, other shapes and numbers that are not finite, by name", async () => {
    await assertTampered(
      (t) => t.filter(({ name }) => name !== "layer1.1.bn2.bias"),
      /tensor layer1.1.bn2.bias is missing/,
    );
    await assertTampered(
      (t) => [...t, { name: "extra", shape: [1], data: Float32Array.of(1) }],
      /tensor extra is unknown/,
    );
    const reshape = (t: Tensor[]) =>
      t.map((each) => (each.name === "layer2.0.conv2.weight" ? { ...each, shape: [3, 27] } : each));
    await assertTampered(reshape, /tensor layer2.0.conv2.weight has shape \[3, 27\], expected \[3, 3, 3, 3\]/);
    const poison = (t: Tensor[]) =>
      t.map((each) => (each.name === "fc.bias" ? { ...each, data: each.data.fill(Number.NaN) } : each));
    await assertTampered(poison, /tensor fc.bias holds a number that is not finite/);
    const negative = (t: Tensor[]) =>
      t.map((each) => (each.name === "bn1.running_var" ? { ...each, data: each.data.fill(-1) } : each));
    await assertTampered(negative, /tensor bn1.running_var holds the variance -1 at place 0, expected none below 0/);
    const stem = (t: Tensor[]) =>
      t.map((each) => (each.name === "conv1.weight" ? { ...each, data: each.data.fill(Number.NaN) } : each));
    await assertTampered(stem, /tensor conv1.weight holds a number that is not finite, NaN at place 0/);
  });

  it("refuses other networks, saying what is missing", async () => {
    await assertTampered(
      (t) => t.filter(({ name }) => !name.includes("conv3") && !name.includes("bn3")),
      /tensor layer1.0.conv3.weight is missing/,
    );
    const widened = { name: "layer1.0.conv1.weight", shape: [2, 4, 5, 5], data: new Float32Array(200) };
    await assertTampered(
      (t) => [...t.filter(({ name }) => name !== widened.name), widened],
      /tensor layer1.0.conv1.weight has shape \[2, 4, 5, 5\]: expected basic blocks \(3x3, 3x3.*or bottleneck blocks \(1x1/,
    );
    await assertTampered(
      (t) => t.filter(({ name }) => name !== "conv1.weight"),
      /found no first convolution: expected one of conv1.weight/,
    );
    await assertTampered(
      (t) => t.filter(({ name }) => !name.startsWith("layer")),
      /found no block: expected a tensor layer1.0.conv1.weight/,
    );
    await assertTampered((t) => t.filter(({ name }) => !name.startsWith("fc")), /tensor fc.weight is missing/);
  });

  it("refuses a network whose blocks widen by a fraction, which no manifest can hold", async () => {
    const spec = { ...tinyBasicSpec, stages: [{ blocks: 1, width: 3 }], expansion: 4 / 3 };
    await assertRefused(
      await write(encodeSafetensors(torchvisionTensors(spec))),
      /tensor layer1.0.conv2.weight has 4 outputs, expected a multiple of the 3 of its block's 3x3 convolution/,
    );
  });

  it("refuses safetensors whose numbers are of another type, naming the tensor", async () => {
    const file = Buffer.from(await readFile(fixturePath("torchvision.safetensors")));
    const text = file.toString("latin1");
    const doubled = text.replace('"fc.bias":{"dtype":"F32","shape":[5]', '"fc.bias":{"dtype":"I32","shape":[5]');
    assert.notEqual(doubled, text);
    await assertRefused(
      await write(Buffer.from(doubled, "latin1")),
      /tensor fc.bias is I32, expected F32, F64, F16 or BF16/,
    );
  });
});
