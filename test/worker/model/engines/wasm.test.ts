import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { inputBytes } from "../../../../src/worker/compute/protocol.js";
import type { Engine, EngineOutput } from "../../../../src/worker/model/engines/engine.js";
import { openOnnxEngine } from "../../../../src/worker/model/engines/onnx.js";
import { openWasmEngine } from "../../../../src/worker/model/engines/wasm.js";
import type { GraphParts } from "../../../../src/worker/model/graph-parts.js";
import { isOutOfMemory } from "../../../../src/worker/model/out-of-memory.js";
import {
  assertComputesDefinition,
  bgr,
  rgb,
  tinyImageBytes,
  tinyParts,
  tinyPixels,
  tinySpecV15,
} from "../../../support/definition.js";
import { assertSameAnswers, decodeExamples, resnet50Parts } from "../../../support/examples.js";
import { tinyBasicSpec, tinySpec } from "../../../support/tiny-resnet.js";
import type { WasmFullAnswer } from "./wasm-full.js";

const open = (parts: GraphParts) => openWasmEngine(parts, { threads: 1 });

describe("worker/model/engines/wasm", () => {
  it("computes what the definition says: v1, BGR, biases", () => assertComputesDefinition(open, tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    assertComputesDefinition(open, tinySpecV15, rgb));

  it("computes what the definition says: basic blocks", () => assertComputesDefinition(open, tinyBasicSpec, rgb));

  it("says what really runs", async () => {
    const engine = await open(tinyParts());
    assert.equal(engine.name, "wasm/simd");
    await engine.close();
  });

  it("gives the same numbers however many threads share a batch, in the order of the images", async () => {
    const one = await open(tinyParts());
    const alone = await one.infer(tinyPixels, 3);
    await one.close();
    for (const threads of [2, 5]) {
      const many = await openWasmEngine(tinyParts(), { threads });
      assert.deepEqual(await many.infer(tinyPixels, 3), alone);
      const second = tinyPixels.slice(tinyImageBytes, 2 * tinyImageBytes);
      assert.deepEqual((await many.infer(second, 1)).logits, alone.logits.slice(5, 10));
      await many.close();
    }
  });

  it("starts no more threads than a usual batch has images, as each holds the whole network", async () => {
    const nextThreadId = async () => {
      const probe = new Worker("", { eval: true });
      const { threadId } = probe;
      await once(probe, "exit");
      return threadId;
    };
    const before = await nextThreadId();
    const engine = await openWasmEngine(tinyParts(), { threads: 12 });
    assert.equal((await nextThreadId()) - before - 1, 8);
    await engine.close();
  });

  it("rejects pixels that are not the images they are said to be", async () => {
    const engine = await open(tinyParts());
    await assert.rejects(engine.infer(tinyPixels.slice(3), 3), /shape|size/i);
    await engine.close();
  });

  it("rejects a network that lacks a tensor, naming it, and leaves no thread behind", async () => {
    const parts = tinyParts();
    const weights = new Map([...parts.weights].filter(([name]) => name !== "stage1.block1.reduce.bias"));
    await assert.rejects(openWasmEngine({ ...parts, weights }, { threads: 2 }), /stage1\.block1\.reduce\.bias/);
  });

  it("holds as many tensors after 60 batches as after one, and none at the end", async () => {
    const worker = new Worker(new URL("./tensor-count.js", import.meta.url), { workerData: 60 });
    const [{ counts, left }] = (await once(worker, "message")) as [{ counts: number[]; left: number }];
    await worker.terminate();
    assert.equal(counts.length, 61);
    assert.equal(new Set(counts).size, 1, counts.join());
    assert.equal(left, 0);
  });

  it("says that its memory is used up, and computes the same as before with less", async function () {
    this.timeout(60_000);
    const worker = new Worker(new URL("./wasm-full.js", import.meta.url));
    const [answer] = (await once(worker, "message")) as [WasmFullAnswer];
    await worker.terminate();
    assert.match(answer.errors[0] ?? "", /^WebAssembly is out of memory: it has no \d+ bytes more$/);
    assert.equal(answer.errors.length, 2);
    assert.ok(answer.errors.every((error) => isOutOfMemory(new Error(error))));
    assert.deepEqual(answer.after, answer.before);
    assert.equal(new Set(answer.tensorCounts).size, 1, answer.tensorCounts.join());
  });

  it("agrees with ONNX Runtime on real photos and real weights", async function () {
    this.timeout(300_000);
    const parts = await resnet50Parts();
    const photos = await decodeExamples();
    const outputs: EngineOutput[] = [];
    const engines: Engine[] = [];
    try {
      for (const openEngine of [openOnnxEngine, openWasmEngine]) {
        const engine = await openEngine(parts, { threads: 2 });
        engines.push(engine);
        outputs.push(await engine.infer(photos, photos.length / inputBytes));
      }
    } finally {
      await Promise.all(engines.map((engine) => engine.close()));
    }
    assertSameAnswers(outputs[0], outputs[1]);
  });
});
