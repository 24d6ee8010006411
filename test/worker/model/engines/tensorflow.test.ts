import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { engineEnv } from "../../../../src/worker/model/engine-env.js";
import { openOnnxEngine } from "../../../../src/worker/model/engines/onnx.js";
import { assertIsDefinition, bgr, rgb, tinySpecV15 } from "../../../support/definition.js";
import { assertSameAnswers, decodeExamples, resnet50Parts } from "../../../support/examples.js";
import { tinySpec } from "../../../support/tiny-resnet.js";
import type { TensorflowAnswer } from "./tensorflow-child.js";

describe("worker/model/engines/tensorflow", function () {
  this.timeout(300_000);
  let answer: TensorflowAnswer;

  before(async function () {
    const entry = fileURLToPath(new URL("./tensorflow-child.js", import.meta.url));
    const env = { ...process.env, ...engineEnv(2) };
    const child = fork(entry, [], { serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"], env });
    const [message] = (await once(child, "message")) as [
      TensorflowAnswer | { error: string } | { unavailable: string },
    ];
    child.kill("SIGKILL");
    // Its package is optional, and its addon has to be built.
    if ("unavailable" in message) return this.skip();
    assert.ok(!("error" in message), JSON.stringify(message));
    answer = message;
  });

  it("computes what the definition says: v1, BGR, biases", () => assertIsDefinition(answer.tiny[0], tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    assertIsDefinition(answer.tiny[1], tinySpecV15, rgb));

  it("says on which kind of device it really runs", () => {
    assert.match(answer.name, /^tensorflow\/(cpu|gpu)$/);
  });

  it("has its batches filled up on a GPU, and there alone, where cuDNN is to choose by heuristics", () => {
    assert.deepEqual([answer.isOnGpu, answer.isShapeBound], Array(2).fill(answer.name === "tensorflow/gpu"));
    assert.equal(engineEnv(2).TF_CUDNN_USE_AUTOTUNE, "0");
  });

  it("holds as many tensors after 60 batches as after one, and none at the end", () => {
    assert.equal(answer.tensorCounts.length, 61);
    assert.equal(new Set(answer.tensorCounts).size, 1, answer.tensorCounts.join());
    assert.equal(answer.tensorsLeft, 0);
  });

  it("agrees with ONNX Runtime on real photos and real weights", async () => {
    const engine = await openOnnxEngine(await resnet50Parts(), { threads: 2 });
    const onnx = await engine.infer(await decodeExamples(), 4);
    await engine.close();
    assertSameAnswers(onnx, answer.photos);
  });

  it("refuses to run on the backend that TensorFlow.js takes where the native one does not start", () => {
    assert.match(answer.refusal, /could not start its native backend, and would take another/);
  });
});
