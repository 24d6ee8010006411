import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { whyUnavailable } from "../../../../src/worker/model/engines/open-engine.js";
import { isOutOfMemory } from "../../../../src/worker/model/out-of-memory.js";
import { assertIsDefinition, bgr, rgb, tinySpecV15 } from "../../../support/definition.js";
import { tinySpec } from "../../../support/tiny-resnet.js";
import type { WebgpuAnswer } from "./webgpu-child.js";

/** A software driver that Debian's package chromium brings. */
const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json";

describe("worker/model/engines/webgpu", function () {
  this.timeout(120_000);
  let answer: WebgpuAnswer;

  before(async function () {
    // Its packages are optional, and a machine may have no driver at all.
    if ((await whyUnavailable("webgpu")) !== null) return this.skip();
    const env = existsSync(swiftShader) ? { VK_ICD_FILENAMES: swiftShader, ...process.env } : process.env;
    const entry = fileURLToPath(new URL("./webgpu-child.js", import.meta.url));
    const child = fork(entry, [], { serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"], env });
    const [message] = (await once(child, "message")) as [WebgpuAnswer | { error: string }];
    child.kill("SIGKILL");
    if ("error" in message && message.error.includes("there is no driver")) return this.skip();
    assert.ok(!("error" in message), JSON.stringify(message));
    answer = message;
  });

  it("computes what the definition says: v1, BGR, biases", () => {
    assertIsDefinition(answer.outputs[0], tinySpec, bgr);
  });

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () => {
    assertIsDefinition(answer.outputs[1], tinySpecV15, rgb);
  });

  it("says which device it really runs on", () => {
    assert.match(answer.name, /^webgpu\/.+/);
  });

  it("says that a batch is too large for the device, and computes as before afterwards", () => {
    assert.match(
      answer.refusal,
      /^Error: WebGPU is out of memory, or of its limits: Binding size \(\d+\) .* is larger than the maximum/,
    );
    assert.ok(isOutOfMemory(new Error(answer.refusal)));
    assert.ok(answer.isSameAfter);
  });

  it("holds as many tensors after ten batches as after one", () => {
    assert.equal(answer.tensorCounts.length, 10);
    assert.equal(new Set(answer.tensorCounts).size, 1, answer.tensorCounts.join());
  });
});
