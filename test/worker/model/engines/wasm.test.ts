import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { openDecoder } from "../../../../src/worker/compute/decode.js";
import { inputBytes } from "../../../../src/worker/compute/protocol.js";
import { findModel } from "../../../../src/worker/model/catalog.js";
import type { Engine, EngineOutput } from "../../../../src/worker/model/engines/engine.js";
import { openOnnxEngine } from "../../../../src/worker/model/engines/onnx.js";
import { openWasmEngine } from "../../../../src/worker/model/engines/wasm.js";
import type { GraphParts } from "../../../../src/worker/model/graph-parts.js";
import { isOutOfMemory } from "../../../../src/worker/model/out-of-memory.js";
import { readModel } from "../../../../src/worker/model/store.js";
import { topK } from "../../../../src/worker/model/top-k.js";
import { cosine } from "../../../support/cosine.js";
import {
  assertComputesDefinition,
  bgr,
  rgb,
  tinyImageBytes,
  tinyParts,
  tinyPixels,
  tinySpecV15,
} from "../../../support/definition.js";
import { resnet50ForTests } from "../../../support/model.js";
import { projectRoot } from "../../../support/shared-data.js";
import { tinySpec } from "../../../support/tiny-resnet.js";
import type { WasmFullAnswer } from "./wasm-full.js";

const open = (parts: GraphParts) => openWasmEngine(parts, { threads: 1 });

describe("worker/model/engines/wasm", () => {
  it("computes what the definition says: v1, BGR, biases", () => assertComputesDefinition(open, tinySpec, bgr));

  it("computes what the definition says: v1.5, RGB with a scale, no biases", () =>
    assertComputesDefinition(open, tinySpecV15, rgb));

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
    const { modelDir, modelSha256 } = await resnet50ForTests();
    const { spec, preprocess } = findModel("resnet50");
    const parts = { spec, preprocess, weights: (await readModel(modelDir, modelSha256)).weights };
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
    const [onnx, wasm] = outputs;
    assert.ok(onnx !== undefined && wasm !== undefined);
    assert.deepEqual([onnx.embeddings.length, wasm.embeddings.length], [4 * 2048, 4 * 2048]);
    for (let image = 0; image < 4; image += 1) {
      const embedding = ({ embeddings }: EngineOutput) => embeddings.slice(image * 2048, (image + 1) * 2048);
      const logits = ({ logits: all }: EngineOutput) => all.slice(image * 1000, (image + 1) * 1000);
      assert.ok(cosine(embedding(onnx), embedding(wasm)) >= 0.99999);
      assert.deepEqual(topK(logits(wasm), 1).indices, topK(logits(onnx), 1).indices);
      const apart = logits(wasm).map((logit, index) => Math.abs(logit - (logits(onnx)[index] as number)));
      assert.ok(Math.max(...apart) < 1e-3);
    }
  });
});

/** The example photos as one batch. */
async function decodeExamples(): Promise<Uint8Array> {
  const folder = join(projectRoot, "examples", "photos");
  const decoder = openDecoder({ preprocess: findModel("resnet50").preprocess, maxPixels: 1e8 });
  const files = (await readdir(folder)).filter((file) => /\.(png|jpg)$/.test(file)).sort();
  const batch = new Uint8Array(files.length * inputBytes);
  for (const [index, file] of files.entries()) {
    const outcome = await decoder.decode(await readFile(join(folder, file)));
    assert.ok(outcome.ok);
    batch.set(outcome.value.pixels, index * inputBytes);
  }
  return batch;
}
