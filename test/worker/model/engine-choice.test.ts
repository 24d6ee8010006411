import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { EngineName } from "../../../src/shared/engine-names.js";
import {
  chooseEngine,
  type EngineProbes,
  whyNoPrecision,
  whyNotInstalled,
  whyNotLoaded,
} from "../../../src/worker/model/engine-choice.js";
import { whyUnavailable } from "../../../src/worker/model/engines/open-engine.js";

/** A machine without a GPU, on which only `engines` run. */
const only = (...engines: EngineName[]): EngineProbes => ({
  hasGpuFor: async () => false,
  whyNotOnGpu: () => assert.fail("asked for a GPU"),
  whyNot: async (engine) => (engines.includes(engine) ? null : "it is not here"),
});
/** The same with a GPU of any kind, on which `onGpu` run. */
const withGpu = (onGpu: readonly EngineName[], ...engines: EngineName[]): EngineProbes => ({
  ...only(...engines),
  hasGpuFor: async () => true,
  whyNotOnGpu: async (engine) => (onGpu.includes(engine) ? null : "no driver"),
});

describe("worker/model/engine-choice", () => {
  it("takes onnx where all CPU engines run, and says why", async () => {
    const choice = await chooseEngine("auto", only("onnx", "wasm", "tensorflow", "webgpu"));
    assert.deepEqual(choice, { engine: "onnx", why: "the fastest CPU engine here" });
  });

  it("takes tensorflow on a GPU before all else, then ONNX Runtime's CUDA, then WebGPU", async () => {
    const engines: readonly EngineName[] = ["webgpu", "onnx-cuda", "tensorflow", "onnx-webgpu"];
    const first = await chooseEngine("auto", withGpu(engines, "onnx"));
    assert.deepEqual(first, { engine: "tensorflow", why: "it runs on the GPU" });
    const second = await chooseEngine("auto", withGpu(engines.slice(0, 2), "onnx"));
    const tensorflow = "tensorflow cannot run on the GPU: no driver";
    assert.deepEqual(second, { engine: "onnx-cuda", why: `it runs on the GPU; ${tensorflow}` });
    assert.equal((await chooseEngine("auto", withGpu(engines.slice(0, 1), "onnx"))).engine, "webgpu");
  });

  it("takes a CPU engine where the GPU's do not work, and says what is wrong with each", async () => {
    const { engine, why } = await chooseEngine("auto", withGpu(["onnx-webgpu"], "onnx", "wasm"));
    assert.equal(engine, "onnx");
    const reasons = ["tensorflow", "onnx-cuda", "webgpu"].map((each) => `${each} cannot run on the GPU: no driver`);
    assert.equal(why, `the fastest CPU engine here; ${reasons.join("; ")}`);
  });

  it("asks for no GPU where an engine is named", async () => {
    const hasGpuFor = (): never => assert.fail("asked");
    assert.equal((await chooseEngine("onnx", { ...only("onnx"), hasGpuFor })).engine, "onnx");
  });

  it("takes tensorflow on the CPU before wasm, where onnx does not run", async () => {
    assert.equal((await chooseEngine("auto", only("wasm", "tensorflow"))).engine, "tensorflow");
  });

  it("takes wasm where onnx does not run, and says what is wrong with onnx", async () => {
    const choice = await chooseEngine("auto", only("wasm"));
    assert.equal(choice.engine, "wasm");
    assert.match(choice.why, /onnx cannot run: it is not here/);
  });

  it("refuses where none runs, naming each reason", async () => {
    await assert.rejects(chooseEngine("auto", only()), {
      code: "ENGINE_UNAVAILABLE",
      message: /onnx cannot run: it is not here; tensorflow cannot run: .*; wasm cannot run: it is not here/,
    });
  });

  it("takes the engine that is asked for, or refuses; it never takes another", async () => {
    assert.deepEqual(await chooseEngine("wasm", only("onnx", "wasm")), { engine: "wasm", why: "--engine wasm" });
    await assert.rejects(chooseEngine("wasm", only("onnx")), { code: "ENGINE_UNAVAILABLE" });
  });

  it("names the packages that are missing, the command that installs them, and what else there is", () => {
    const reason = whyNotInstalled("wasm", (name) => name === "@tensorflow/tfjs-core");
    assert.equal(
      reason,
      "@tensorflow/tfjs-backend-wasm not installed; run `npm install @tensorflow/tfjs-backend-wasm@4.22.0`, or take --engine onnx",
    );
    assert.equal(
      whyNotInstalled("wasm", () => true),
      null,
    );
  });

  it("names the script that builds the addon, by its place, beside the package that it is of", () => {
    const missing = whyNotInstalled("tensorflow", () => false) ?? "";
    const place = resolve("scripts", "build-tensorflow.mjs");
    assert.ok(existsSync(place));
    const install = "npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0";
    assert.equal(
      missing,
      `@tensorflow/tfjs-node-gpu not installed; run \`${install}\` and \`node ${place}\`, or take --engine onnx or wasm`,
    );
    const unbuilt = whyNotLoaded("tensorflow", "no addon");
    assert.equal(unbuilt, `its package does not load: no addon; \`node ${place}\` builds its addon`);
    assert.equal(whyNotLoaded("onnx", "no library"), "its package does not load: no library");
  });

  it("finds the engines that this package brings", async () => {
    assert.deepEqual([await whyUnavailable("onnx"), await whyUnavailable("wasm")], [null, null]);
  });

  it("leaves int8 to the engine that has integer kernels", () => {
    assert.equal(whyNoPrecision("onnx", "int8"), null);
    for (const engine of ["wasm", "tensorflow", "webgpu", "onnx-cuda", "onnx-webgpu"] as const) {
      const reason = "it computes in fp32 alone, not in int8; take --engine onnx or --precision fp32";
      assert.equal(whyNoPrecision(engine, "int8"), reason);
    }
  });

  it("installs the versions that this package is tested with", async () => {
    const { readFile } = await import("node:fs/promises");
    const manifest = JSON.parse(await readFile("package.json", "utf8"));
    const known = { ...manifest.dependencies, ...manifest.peerDependencies } as Record<string, string>;
    for (const engine of ["onnx", "wasm", "tensorflow", "webgpu", "onnx-cuda", "onnx-webgpu"] as const) {
      const install =
        /npm install (?:--ignore-scripts )?([^`]+)`/.exec(whyNotInstalled(engine, () => false) ?? "")?.[1] ?? "";
      for (const each of install.split(" ")) {
        const at = each.lastIndexOf("@");
        assert.equal(known[each.slice(0, at)], each.slice(at + 1), each);
      }
    }
  });
});
