import assert from "node:assert/strict";
import { join } from "node:path";
import type { Summary } from "../../src/dataset/summary.js";
import { openResults } from "../../src/results/open.js";
import { hasGpuFor } from "../../src/worker/model/gpu-devices.js";
import { runCli } from "../support/cli.js";
import { cosine } from "../support/cosine.js";
import { resnet50ForTests } from "../support/model.js";
import { isInstalled } from "../support/packages.js";
import { collect, useTempDir } from "../support/temp-dir.js";

describe("e2e/engines", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  it("gives the same rows on another engine, and names it with the reason", async () => {
    const rows = [];
    for (const [engine, name, why] of [
      ["auto", "onnx/cpu", /"whyEngine":"the fastest CPU engine here"/],
      ["wasm", "wasm/simd", /"whyEngine":"--engine wasm"/],
    ] as const) {
      const out = join(tempDir(), engine);
      const { code, stdout, stderr } = await runCli([
        "run",
        "examples/photos",
        "--out",
        out,
        "--engine",
        engine,
        "--json",
      ]);
      assert.equal(code, 0, stderr);
      assert.deepEqual((JSON.parse(stdout) as Summary).engines, [name]);
      assert.match(stderr, why);
      rows.push(await collect((await openResults(out)).rows({ columns: ["uri", "label", "embedding"] })));
    }
    const [onnx = [], wasm = []] = rows;
    assert.equal(wasm.length, 4);
    for (const [index, row] of wasm.entries()) {
      const same = onnx[index];
      assert.deepEqual([row.uri, row.label], [same?.uri, same?.label]);
      assert.ok(cosine(row.embedding as Float32Array, same?.embedding as Float32Array) >= 0.99999);
    }
  });

  it("labels on TensorFlow, in a compute child with threads of that number", async function () {
    if (!isInstalled("@tensorflow/tfjs-node-gpu")) return this.skip();
    const out = join(tempDir(), "tensorflow");
    const asked = ["--engine", "tensorflow", "--engine-threads", "1", "--json"];
    const { code, stdout, stderr } = await runCli(["run", "examples/photos", "--out", out, ...asked]);
    // The addon is built by a script of its own.
    if (stderr.includes("its package does not load")) return this.skip();
    assert.equal(code, 0, stderr);
    assert.match((JSON.parse(stdout) as Summary).engines.join(), /^tensorflow\/[cg]pu$/);
    const rows = await collect((await openResults(out)).rows({ columns: ["label"] }));
    assert.deepEqual(rows.map(({ label }) => label).toSorted(), [
      "Egyptian_cat",
      "drilling_platform",
      "espresso",
      "tripod",
    ]);
  });

  it("ends with the way out where the engine that is asked for is absent", async function () {
    if (isInstalled("@tensorflow/tfjs-node-gpu")) return this.skip();
    const out = join(tempDir(), "out");
    const { code, stderr } = await runCli(["run", "examples/photos", "--out", out, "--engine", "tensorflow"]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Engine tensorflow cannot run here: @tensorflow\/tfjs-node-gpu not installed.*take --engine onnx/,
    );
    assert.match(stderr, /\[ENGINE_UNAVAILABLE\]/);
  });

  it("ends with what CUDA needs where it is asked for and cannot run", async function () {
    if (await hasGpuFor("onnx-cuda")) return this.skip();
    const out = join(tempDir(), "out");
    const { code, stderr } = await runCli(["run", "examples/photos", "--out", out, "--engine", "onnx-cuda"]);
    assert.equal(code, 1);
    assert.match(stderr, /Engine onnx-cuda cannot run here: .*it needs an NVIDIA GPU.*npm rebuild onnxruntime-node/);
    assert.match(stderr, /\[ENGINE_UNAVAILABLE\]/);
  });

  it("refuses GPUs that are not there, and GPUs for an engine that has none, as bad usage", async () => {
    const out = join(tempDir(), "out");
    const run = (...args: string[]) => runCli(["run", "examples/photos", "--out", out, ...args]);
    const onCpu = await run("--devices", "all", "--engine", "onnx");
    assert.equal(onCpu.code, 2);
    assert.match(onCpu.stderr, /Cannot use --devices all: it chooses among CUDA GPUs, and engine onnx cannot/);
    const absent = await run("--devices", "0,77", "--engine", "onnx-cuda");
    assert.equal(absent.code, 2);
    assert.match(absent.stderr, /Cannot use --devices 0,77: there is no GPU .*77; found: .*\[ENGINE_DEVICE\]/);
  });

  it("refuses an engine that does not exist as bad usage", async () => {
    const { code, stderr } = await runCli(["run", "examples/photos", "--engine", "cuda"]);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /Expected `engine` to be auto, onnx, wasm, tensorflow, webgpu, onnx-cuda or onnx-webgpu, got `cuda`/,
    );
  });
});
