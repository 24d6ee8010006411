import assert from "node:assert/strict";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Certificate } from "../../src/worker/model/certificate.js";
import { type CliResult, runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { isInstalled } from "../support/packages.js";
import { useTempDir } from "../support/temp-dir.js";

describe("e2e/models-verify", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  let modelDir: string;

  /** A cache of this test's own, with the real weights. */
  beforeEach(async () => {
    const real = await resnet50ForTests();
    modelDir = join(tempDir(), "models", "resnet50");
    await mkdir(modelDir, { recursive: true });
    for (const file of ["folded.safetensors", "manifest.json"]) {
      await symlink(join(real.modelDir, file), join(modelDir, file));
    }
  });

  const verify = (...args: string[]): Promise<CliResult> =>
    runCli(["models", "verify", "resnet50", "--cache-dir", tempDir(), ...args]);

  it("compares every engine that is here on the example photos, and certifies it beside the model", async () => {
    const { code, stdout, stderr } = await verify("--json");
    assert.equal(code, 0, stderr);
    const certificate = JSON.parse(stdout) as Certificate;
    assert.deepEqual(JSON.parse(await readFile(join(modelDir, "certificate.json"), "utf8")), certificate);
    const { modelSha256 } = await resnet50ForTests();
    assert.deepEqual([certificate.images, certificate.agree, certificate.modelSha256], [4, true, modelSha256]);
    const [onnx, ...others] = certificate.engines;
    assert.deepEqual([onnx?.engine, onnx?.precision, onnx?.agreement], ["onnx/cpu", "fp32", null]);
    const isHere = isInstalled("@tensorflow/tfjs-node-gpu");
    const quantized = others.filter(({ precision }) => precision !== "fp32");
    assert.deepEqual(
      quantized.map(({ engine, precision }) => [engine, precision]),
      [
        ["onnx/cpu", "int8"],
        ["onnx/cpu", "int8-7bit"],
      ],
    );
    for (const { agreement } of quantized) assert.ok((agreement?.minCosine ?? 0) > 0.99);
    const exact = others.filter(({ precision }) => precision === "fp32");
    const names = exact.map(({ engine }) => engine.split("/")[0]);
    assert.deepEqual(names.slice(0, 2), isHere ? ["wasm", "tensorflow"] : ["wasm"]);
    for (const { agreement } of exact) {
      assert.equal(agreement?.sameTop1, 4);
      assert.ok(agreement.minCosine >= 0.99999 && agreement.maxLogitDifference < 1e-3);
    }
    assert.ok(certificate.engines.every(({ imagesPerSecond }) => imagesPerSecond > 0));
    const absent = certificate.absent.find(({ asked }) => asked === "tensorflow");
    assert.match(absent?.reason ?? "", isHere ? /^$/ : /not installed/);
  });

  it("prints a table of the engines that are named, on the images that are given", async () => {
    const list = join(tempDir(), "list.txt");
    const photos = ["coffee.png", "rocket.jpg"].map((name) => resolve("examples", "photos", name));
    await writeFile(join(tempDir(), "broken.jpg"), "no image");
    await writeFile(list, [...photos, "broken.jpg", "absent.jpg"].join("\n"));
    const { code, stdout, stderr } = await verify(list, "--engines", "wasm,onnx");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /2 images \(2 more cannot be read\)/);
    assert.match(stdout, /^wasm\/simd +fp32 .* compared with$/m);
    assert.match(stdout, /^onnx\/cpu +fp32 .* 2 of 2( +1 - \d\.\de-\d+){2} +\d\.\de-\d$/m);
    assert.match(stdout, /They agree/);
    assert.match(stdout, /absent\.jpg left out: .*\n.*broken\.jpg left out: it cannot be decoded\n/);
  });

  it("names in its certificate what was left out, and with one engine claims no agreement", async () => {
    await writeFile(join(tempDir(), "broken.jpg"), "no image");
    const list = join(tempDir(), "list.txt");
    await writeFile(list, [resolve("examples", "photos", "coffee.png"), "broken.jpg"].join("\n"));
    const { code, stdout, stderr } = await verify(list, "--engines", "wasm", "--json");
    assert.equal(code, 0, stderr);
    const { agree, skipped } = JSON.parse(stdout) as Certificate;
    assert.equal(agree, null);
    assert.deepEqual(
      skipped.map(({ uri, reason }) => [uri.split("/").at(-1), reason]),
      [["broken.jpg", "it cannot be decoded"]],
    );
  });

  it("ends at the first interrupt, and certifies nothing", async () => {
    const running = startCli(["models", "verify", "resnet50", "--cache-dir", tempDir(), "--log-level", "debug"]);
    while (!running.stderr().includes("measuring engine")) await sleep(50);
    running.process.kill("SIGINT");
    assert.equal((await running.result).code, 130, running.stderr());
    await assert.rejects(readFile(join(modelDir, "certificate.json")), { code: "ENOENT" });
  });

  it("refuses an engine that was named and is absent, and certifies nothing", async function () {
    if (isInstalled("@tensorflow/tfjs-node-gpu")) return this.skip();
    const { code, stderr } = await verify("--engines", "onnx,tensorflow");
    assert.equal(code, 1);
    assert.match(stderr, /Engine tensorflow cannot run here: .*not installed/);
    await assert.rejects(readFile(join(modelDir, "certificate.json")), { code: "ENOENT" });
  });

  it("refuses sources without an image that can be decoded, and engines that do not exist", async () => {
    await mkdir(join(tempDir(), "photos"));
    await writeFile(join(tempDir(), "photos", "broken.jpg"), "no image");
    const nothing = await verify(join(tempDir(), "photos"), "--engines", "onnx");
    assert.match(nothing.stderr, /No items in .*photos.*: none can be decoded/);
    assert.equal(nothing.code, 2);
    const unknown = await verify("--engines", "cuda");
    assert.equal(unknown.code, 2);
    assert.match(
      unknown.stderr,
      /Expected `engines` to be some of onnx, wasm, tensorflow, webgpu, onnx-cuda and onnx-webgpu/,
    );
  });

  it("refuses weights that are not those of the digest", async () => {
    const weights = await readFile(join(modelDir, "folded.safetensors"));
    weights[weights.length - 1] = (weights[weights.length - 1] as number) ^ 1;
    await rm(join(modelDir, "folded.safetensors"));
    await writeFile(join(modelDir, "folded.safetensors"), weights);
    const { code, stderr } = await verify("--engines", "onnx");
    assert.equal(code, 1);
    assert.match(stderr, /\[MODEL_CORRUPT\]/);
  });
});
