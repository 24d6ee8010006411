import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assertIsDefinition, bgr, rgb, tinySpecV15 } from "../../../support/definition.js";
import { tinySpec } from "../../../support/tiny-resnet.js";
import type { OnnxWebgpuAnswer } from "./onnx-webgpu-child.js";

/** A software driver that Debian's package chromium brings. */
const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json";

describe("worker/model/engines/onnx on WebGPU", function () {
  this.timeout(120_000);
  let answer: OnnxWebgpuAnswer;

  before(async function () {
    const env = existsSync(swiftShader) ? { VK_ICD_FILENAMES: swiftShader, ...process.env } : process.env;
    const entry = fileURLToPath(new URL("./onnx-webgpu-child.js", import.meta.url));
    const child = fork(entry, [], { serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"], env });
    const [message] = (await once(child, "message")) as [OnnxWebgpuAnswer | { error: string }];
    child.kill("SIGKILL");
    // A machine may have no driver at all.
    if ("error" in message && message.error.includes("Failed to get a WebGPU adapter")) return this.skip();
    assert.ok(!("error" in message), JSON.stringify(message));
    answer = message;
  });

  it("computes what the definition says: v1, BGR, biases", () => assertIsDefinition(answer.outputs[0], tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    assertIsDefinition(answer.outputs[1], tinySpecV15, rgb));

  it("says what really runs, and refuses a graph that would run in part on the CPU", () => {
    assert.equal(answer.name, "onnx/webgpu");
    assert.match(answer.refusal, /fallback to CPU EP has been explicitly disabled.*a driver for Vulkan/);
  });
});
