import assert from "node:assert/strict";
import type { Finding } from "../../src/library/finding.js";
import { runCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { isInstalled } from "../support/packages.js";
import { useTempDir } from "../support/temp-dir.js";

async function doctor(
  ...args: string[]
): Promise<{ code: number | null; of: (subject: string) => Finding | undefined }> {
  const { code, stdout } = await runCli(["doctor", "--json", ...args]);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { code, of: (subject) => findings.find((finding) => finding.subject === subject) };
}

describe("e2e/doctor", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  it("measures every engine that is here on known photos, and says which one a run takes and why", async () => {
    const { code, of } = await doctor();
    assert.equal(code, 0);
    assert.equal(of("engine onnx")?.state, "ok");
    const measured =
      /^(onnx\/cpu|wasm\/simd) in fp32, \d+\.\d images\/s in batches of 8, loaded in \d+ ms; the example photo is Egyptian_cat/;
    assert.match(of("engine onnx")?.detail ?? "", measured);
    assert.match(of("engine onnx")?.detail ?? "", /chosen: the fastest CPU engine here$/);
    assert.match(of("engine wasm")?.detail ?? "", measured);
    assert.doesNotMatch(of("engine wasm")?.detail ?? "", /chosen/);
    const tensorflow =
      /^(not used: @tensorflow\/tfjs-node-gpu not installed|tensorflow\/[cg]pu in fp32, \d+\.\d images\/s)/;
    assert.match(of("engine tensorflow")?.detail ?? "", tensorflow);
    assert.notEqual(of("faster")?.detail ?? "", "");
  });

  it("fails where a run with the engine that is asked for would fail, with the reason", async function () {
    if (isInstalled("@tensorflow/tfjs-node-gpu")) return this.skip();
    const { code, of } = await doctor("--engine", "tensorflow");
    assert.equal(code, 1);
    assert.equal(of("engine")?.state, "failed");
    assert.match(
      of("engine")?.detail ?? "",
      /^Engine tensorflow cannot run here: @tensorflow.* take --engine onnx or wasm$/,
    );
  });

  it("names the command that fetches the weights where they are not there", async () => {
    const { code, of } = await doctor("--cache-dir", tempDir());
    assert.equal(code, 1);
    assert.match(of("model")?.detail ?? "", /labelmill models pull resnet50/);
    assert.equal(of("engine")?.state, "failed");
  });
});
