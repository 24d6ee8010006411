import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { elementCount, type ResNetSpec } from "../../../../src/worker/model/spec.js";
import { importTfjsLayers } from "../../../../src/worker/model/weights/tfjs-layers.js";
import { randomNumbers, tinySpec } from "../../../support/tiny-resnet.js";

/** One stem and one stage of one block. */
const spec: ResNetSpec = { ...tinySpec, stages: [{ blocks: 1, width: 2 }] };

interface Weight {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: unknown;
}

const perChannel = (conv: string, norm: string, channels: number): Weight[] =>
  [`${norm}/gamma`, `${norm}/beta`, `${norm}/moving_mean`, `${norm}/moving_variance`, `${conv}/bias`].map((name) => ({
    name,
    shape: [channels],
    dtype: "float32",
  }));
const kernel = (name: string, ...shape: number[]): Weight => ({ name, shape, dtype: "float32" });

/** The tensors of `spec`, named and shaped as Keras does, written out by hand. */
const expectedWeights = (): Weight[] => [
  kernel("conv1/kernel", 7, 7, 3, 3),
  ...perChannel("conv1", "bn_conv1", 3),
  kernel("res2a_branch2a/kernel", 1, 1, 3, 2),
  ...perChannel("res2a_branch2a", "bn2a_branch2a", 2),
  kernel("res2a_branch2b/kernel", 3, 3, 2, 2),
  ...perChannel("res2a_branch2b", "bn2a_branch2b", 2),
  kernel("res2a_branch2c/kernel", 1, 1, 2, 4),
  ...perChannel("res2a_branch2c", "bn2a_branch2c", 4),
  kernel("res2a_branch1/kernel", 1, 1, 3, 4),
  ...perChannel("res2a_branch1", "bn2a_branch1", 4),
  kernel("fc1000/kernel", 4, 5),
  kernel("fc1000/bias", 5),
];

interface Files {
  weights: Weight[];
  data: Buffer;
}

function makeFiles(): Files {
  const weights = expectedWeights();
  const numbers = randomNumbers(
    weights.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    3,
    // Variances are among them.
  ).map((value) => value + 1);
  return { weights, data: Buffer.from(numbers.buffer) };
}

/** Imports what `tamper` left, in two shards that cut a tensor in two. */
function importTampered(tamper: (files: Files) => void) {
  const files = makeFiles();
  tamper(files);
  const manifest = { weightsManifest: [{ paths: ["a.bin", "b.bin"], weights: files.weights }] };
  const contents: Record<string, Uint8Array> = {
    "model.json": Buffer.from(JSON.stringify(manifest)),
    "a.bin": files.data.subarray(0, 1001),
    "b.bin": files.data.subarray(1001),
  };
  return importTfjsLayers({ model: "tiny", spec, readFile: async (name) => contents[name] as Uint8Array });
}

async function assertRefused(tamper: (files: Files) => void, reason: RegExp): Promise<void> {
  await assert.rejects(importTampered(tamper), (error: Error & { code?: string }) => {
    assert.equal(error.code, "MODEL_INVALID");
    assert.match(error.message, /^The weights of tiny are not usable: /);
    assert.match(error.message, reason);
    return true;
  });
}

describe("worker/model/weights/tfjs-layers", () => {
  it("reads every tensor across shards and puts output channels first", async () => {
    const { weights, data } = makeFiles();
    const { convs, fcWeight } = await importTampered(() => undefined);
    assert.deepEqual([...convs.keys()].slice(0, 2), ["stem", "stage1.block1.reduce"]);
    const spatial = convs.get("stage1.block1.spatial")?.kernel;
    const start = weights.slice(
      0,
      weights.findIndex(({ name }) => name === "res2a_branch2b/kernel"),
    );
    const offset = start.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    // [y=1, x=2, in=0, out=1] of [3, 3, 2, 2] goes to [out=1, in=0, y=1, x=2].
    assert.equal(
      spatial?.[(1 * 2 + 0) * 9 + 1 * 3 + 2],
      data.readFloatLE((offset + ((1 * 3 + 2) * 2 + 0) * 2 + 1) * 4),
    );
    const fcStart = data.length / 4 - 25;
    assert.equal(fcWeight[3 * 4 + 1], data.readFloatLE((fcStart + 1 * 5 + 3) * 4));
  });

  it("refuses a missing, an unknown and a doubled tensor", async () => {
    const cut = (files: Files) => {
      files.weights.pop();
      files.data = files.data.subarray(0, -20);
    };
    await assertRefused(cut, /tensor fc1000\/bias is missing/);
    const add = (name: string) => (files: Files) => {
      files.weights.push({ name, shape: [1], dtype: "float32" });
      files.data = Buffer.concat([files.data, Buffer.alloc(4)]);
    };
    await assertRefused(add("fc1001/bias"), /tensor fc1001\/bias is unknown/);
    await assertRefused(add("fc1000/bias"), /tensor fc1000\/bias is there twice/);
  });

  it("refuses another shape and another type", async () => {
    const weightOf = ({ weights }: Files, name: string) => weights.find((weight) => weight.name === name) as Weight;
    const reshape = (files: Files) => {
      weightOf(files, "fc1000/kernel").shape = [5, 4];
    };
    await assertRefused(reshape, /tensor fc1000\/kernel has shape \[5, 4\], expected \[4, 5\]/);
    const retype = (files: Files) => {
      weightOf(files, "conv1/bias").dtype = "int32";
    };
    await assertRefused(retype, /tensor conv1\/bias is int32, expected float32/);
    const quantise = (files: Files) => {
      weightOf(files, "conv1/bias").quantization = { dtype: "uint8" };
    };
    await assertRefused(quantise, /tensor conv1\/bias is quantised/);
  });

  it("refuses shards that are too short or too long", async () => {
    const shorten = (files: Files) => {
      files.data = files.data.subarray(0, -1);
    };
    await assertRefused(shorten, /the shards end inside tensor fc1000\/bias/);
    const lengthen = (files: Files) => {
      files.data = Buffer.concat([files.data, Buffer.alloc(3)]);
    };
    await assertRefused(lengthen, /3 bytes follow tensor fc1000\/bias/);
  });

  it("refuses a model.json that is damaged or that leads out of its directory", async () => {
    const read = (json: string) => importTfjsLayers({ model: "tiny", spec, readFile: async () => Buffer.from(json) });
    await assert.rejects(read("{"), { code: "MODEL_INVALID" });
    await assert.rejects(read("{}"), /no usable weightsManifest/);
    const escaping = JSON.stringify({ weightsManifest: [{ paths: ["../a.bin"], weights: [] }] });
    await assert.rejects(read(escaping), /no usable weightsManifest/);
  });
});
