import assert from "node:assert/strict";
import type { File } from "h5wasm";
import { readKerasH5 } from "../../../../src/worker/model/weights/keras-h5.js";
import { toFloat32 } from "../../../../src/worker/model/weights/raw-tensor.js";
import { madeHdf5 } from "../../../support/made-hdf5.js";
import { randomNumbers } from "../../../support/tiny-resnet.js";
import { gunzippedFixture } from "../../../support/weight-fixtures.js";

const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);

describe("worker/model/weights/keras-h5", () => {
  const refuse = async (bytes: Uint8Array, reason: RegExp) => assert.rejects(readKerasH5(bytes), reason);
  const refuseMade = async (fill: (file: File) => void, reason: RegExp) => refuse(await madeHdf5(fill), reason);
  const namesIn = async (bytes: Uint8Array) => (await readKerasH5(bytes)).map(({ name }) => name);

  it("reads every weight of a weights file, by layer and variable", async () => {
    const tensors = await readKerasH5(gunzippedFixture("keras-applications.h5.gz"));
    // 12 convolutions with their biases and batch norms' four, and two of the last layer.
    assert.equal(tensors.length, 74);
    const stem = tensors.find(({ name }) => name === "conv1_conv/kernel") ?? assert.fail();
    assert.deepEqual([stem.shape, stem.dtype, toFloat32(stem).data.length], [[7, 7, 3, 4], "F32", 588]);
    const shortcut = tensors.find(({ name }) => name === "conv3_block1_0_bn/moving_variance");
    assert.deepEqual(shortcut?.shape, [12]);
  });

  it("reads the weights of a whole model, and neither its optimizer nor its other groups", async () => {
    const names = await namesIn(gunzippedFixture("keras-whole-model.h5.gz"));
    assert.equal(names.length, 74);
    assert.ok(names.includes("res2a_branch2a/kernel") && names.includes("bn_conv1/gamma"));
    assert.ok(!names.some((name) => /^[mv]\/|optimizer|iteration/.test(name)));
  });

  it("names a weight by its layer, also where the session had the name before, and by the inner model's layer", async () => {
    const bytes = await madeHdf5((file) => {
      const put = (group: string) => {
        const parts = group.split("/");
        parts.forEach((_, depth) => {
          const path = parts.slice(0, depth + 1).join("/");
          if (file.get(path) === null) file.create_group(path);
        });
        file.create_dataset({ name: `${group}/kernel:0`, data: numbers, shape: [2, 3] });
      };
      for (const group of ["conv1/conv1_3", "dense/dense", "resnet50/conv1_conv", "conv1_old/conv1_old"]) put(group);
    });
    assert.deepEqual((await namesIn(bytes)).sort(), [
      "conv1/kernel",
      "conv1_conv/kernel",
      "conv1_old/kernel",
      "dense/kernel",
    ]);
    assert.deepEqual([...toFloat32((await readKerasH5(bytes))[0] ?? assert.fail()).data], [...numbers]);
  });

  it("refuses a file that is cut short or damaged, with what HDF5 finds", async () => {
    const whole = gunzippedFixture("keras-applications.h5.gz");
    for (const length of [4, 100, 3000, whole.length - 1])
      await refuse(whole.subarray(0, length), /not a sound HDF5 file: .*(truncated|superblock|signature|eof|addr)/);
    await refuse(new Uint8Array(5000).fill(7), /not a sound HDF5 file: .*signature/);
  });

  it("follows no link, and names it", async () => {
    await refuseMade(
      (file) => file.create_external_link("/etc/passwd", "/x", "away"),
      /\/away is a link to \/x in the file \/etc\/passwd; external links are not followed/,
    );
    await refuseMade(
      (file) => file.create_soft_link("/round", "round"),
      /\/round is a link to \/round; soft links are not followed/,
    );
    const lead = (file: File) => file.create_soft_link("/elsewhere", "model_weights");
    await refuseMade(lead, /\/model_weights is a link to \/elsewhere/);
  });

  it("reads no other file that a dataset keeps its numbers in, and names it", async () => {
    const path = "/conv1_conv/conv1_conv/kernel:0";
    for (const [fixture, reason] of [
      ["external-storage.h5.gz", `${path} keeps its numbers in the file /srv/secret.bin`],
      ["external-device.h5.gz", `${path} keeps its numbers in the file /dev/null`],
      ["virtual.h5.gz", `${path} is put together from the file /srv/other.h5`],
    ] as const)
      await assert.rejects(readKerasH5(gunzippedFixture(fixture)), ({ message }: Error) => message.startsWith(reason));
  });

  it("allocates no more than the file's size, whatever a dataset claims", async () => {
    const claim = /the datasets up to \/conv1_conv\/conv1_conv\/kernel:0 claim more than the file's \d+ bytes/;
    await refuse(gunzippedFixture("huge.h5.gz"), claim);
    const twice = await madeHdf5((file) => {
      file.create_dataset({ name: "a", data: new Float32Array(1000) });
      for (let link = 0; link < 5; link += 1) file.create_hard_link("/a", `b${link}`);
    });
    await refuse(twice, /the datasets up to \/b\d claim more than the file's/);
  });

  it("ends where groups lead back up, and where they are too many", async function () {
    this.timeout(30_000);
    const loop = (file: File) => {
      file.create_group("a");
      file.create_hard_link("/", "a/top");
    };
    await refuseMade(loop, /lies deeper than 8 groups/);
    const fan = (file: File) => {
      file.create_group("a");
      for (let link = 0; link < 12; link += 1) file.create_hard_link("/", `a/top${link}`);
    };
    await refuseMade(fan, /is one of more than 10000 links/);
  });

  it("refuses what is not float32 in one piece, by name", async () => {
    const put = (data: Float64Array | Int32Array | string) => (file: File) =>
      void file.create_dataset({ name: "kernel", data });
    await refuseMade(put(Float64Array.of(1)), /\/kernel does not hold float32 numbers/);
    await refuseMade(put(Int32Array.of(1)), /\/kernel does not hold float32 numbers/);
    await refuseMade(put("text"), /\/kernel does not hold float32 numbers/);
    const chunked = { name: "kernel", data: new Float32Array(100), shape: [10, 10], chunks: [5, 5], compression: 4 };
    await refuseMade((file) => void file.create_dataset(chunked), /\/kernel is stored in chunks.*h5repack/);
  });

  it("ends with numbers or an Error for files with bytes changed, and reads a sound file afterwards", async function () {
    this.timeout(60_000);
    const whole = gunzippedFixture("keras-applications.h5.gz");
    const sound = await readKerasH5(whole);
    const places = randomNumbers(600, 17);
    for (let round = 0; round < 150; round += 1) {
      const bytes = whole.slice();
      for (const at of places.subarray(round * 4, round * 4 + 4)) {
        const place = Math.floor(((at + 1) / 2) * (round % 2 === 0 ? 4000 : bytes.length));
        bytes[place] = (round * 37 + place) % 256;
      }
      await readKerasH5(bytes).catch((error: unknown) => assert.ok(error instanceof Error));
    }
    assert.deepEqual(await readKerasH5(whole), sound);
  });
});
