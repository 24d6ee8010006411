import assert from "node:assert/strict";
import type { EngineName } from "../../../src/shared/engine-names.js";
import { chooseEngine, type EngineProbes, whyNotInstalled } from "../../../src/worker/model/engine-choice.js";
import { whyUnavailable } from "../../../src/worker/model/engines/open-engine.js";

/** A machine without a GPU, on which only `engines` run. */
const only = (...engines: EngineName[]): EngineProbes => ({
  hasGpuFor: async (engine) => ["onnx", "wasm"].includes(engine),
  whyNot: async (engine) => (engines.includes(engine) ? null : "it is not here"),
});
/** The same with a GPU of any kind. */
const onGpu = (...engines: EngineName[]): EngineProbes => ({ ...only(...engines), hasGpuFor: async () => true });

describe("worker/model/engine-choice", () => {
  it("takes onnx where both CPU engines run, and says why", async () => {
    const choice = await chooseEngine("auto", only("onnx", "wasm", "tensorflow", "webgpu"));
    assert.deepEqual(choice, { engine: "onnx", why: "the fastest CPU engine here" });
  });

  it("takes ONNX Runtime's CUDA on an NVIDIA GPU, before WebGPU", async () => {
    const choice = await chooseEngine("auto", onGpu("onnx", "wasm", "onnx-cuda", "webgpu", "onnx-webgpu"));
    assert.deepEqual(choice, { engine: "onnx-cuda", why: "it runs on the GPU" });
    const cuda = "onnx-cuda cannot run: it is not here";
    const other = await chooseEngine("auto", onGpu("onnx", "webgpu"));
    assert.deepEqual(other, { engine: "webgpu", why: `it runs on the GPU; ${cuda}` });
  });

  it("takes a CPU engine where the GPU's do not work, and says what is wrong with each", async () => {
    const { engine, why } = await chooseEngine("auto", onGpu("onnx", "wasm", "onnx-webgpu"));
    assert.equal(engine, "onnx");
    const reasons = "onnx-cuda cannot run: it is not here; webgpu cannot run: it is not here";
    assert.equal(why, `the fastest CPU engine here; ${reasons}`);
  });

  it("asks for nothing of a GPU where there is none", async () => {
    const asked: EngineName[] = [];
    const probes = only("onnx");
    await chooseEngine("auto", {
      ...probes,
      whyNot: (engine) => {
        asked.push(engine);
        return probes.whyNot(engine);
      },
    });
    assert.deepEqual(asked, ["onnx"]);
  });

  it("takes wasm where onnx does not run, and says what is wrong with onnx", async () => {
    const choice = await chooseEngine("auto", only("wasm"));
    assert.equal(choice.engine, "wasm");
    assert.match(choice.why, /onnx cannot run: it is not here/);
  });

  it("refuses where none runs, naming each reason", async () => {
    await assert.rejects(chooseEngine("auto", only()), {
      code: "ENGINE_UNAVAILABLE",
      message: /onnx cannot run: it is not here; wasm cannot run: it is not here/,
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

  it("does not advise to install what this version could not use", () => {
    const end = "this version cannot use it yet; take --engine onnx or wasm";
    assert.equal(
      whyNotInstalled("tensorflow", () => false),
      `@tensorflow/tfjs-node-gpu not installed, and ${end}`,
    );
    assert.equal(
      whyNotInstalled("tensorflow", () => true),
      end,
    );
  });

  it("finds the engines that this package brings", async () => {
    assert.deepEqual([await whyUnavailable("onnx", "fp32"), await whyUnavailable("wasm", "fp32")], [null, null]);
  });

  it("leaves int8 to the engine that has integer kernels", async () => {
    assert.equal(await whyUnavailable("onnx", "int8"), null);
    for (const engine of ["wasm", "tensorflow", "webgpu", "onnx-cuda", "onnx-webgpu"] as const) {
      const reason = "it computes in fp32 alone, not in int8; take --engine onnx or --precision fp32";
      assert.equal(await whyUnavailable(engine, "int8"), reason);
    }
  });

  it("installs the versions that this package is tested with", async () => {
    const { readFile } = await import("node:fs/promises");
    const manifest = JSON.parse(await readFile("package.json", "utf8"));
    const known = { ...manifest.dependencies, ...manifest.peerDependencies } as Record<string, string>;
    for (const engine of ["onnx", "wasm", "webgpu", "onnx-cuda", "onnx-webgpu"] as const) {
      const install = /npm install ([^`]+)`/.exec(whyNotInstalled(engine, () => false) ?? "")?.[1] ?? "";
      for (const each of install.split(" ")) {
        const at = each.lastIndexOf("@");
        assert.equal(known[each.slice(0, at)], each.slice(at + 1), each);
      }
    }
  });
});
