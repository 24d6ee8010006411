/** The real model and the example photos, for tests that compare engines. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openDecoder } from "../../src/worker/compute/decode.js";
import { inputBytes } from "../../src/worker/compute/protocol.js";
import { findModel } from "../../src/worker/model/catalog.js";
import type { EngineOutput } from "../../src/worker/model/engines/engine.js";
import type { GraphParts } from "../../src/worker/model/graph-parts.js";
import { readModel } from "../../src/worker/model/store.js";
import { topK } from "../../src/worker/model/top-k.js";
import { cosine } from "./cosine.js";
import { resnet50ForTests } from "./model.js";
import { projectRoot } from "./shared-data.js";

/** What an engine of the real ResNet-50 is opened from. */
export async function resnet50Parts(): Promise<GraphParts> {
  const { modelDir, modelSha256 } = await resnet50ForTests();
  const { spec, preprocess } = findModel("resnet50");
  return { spec, preprocess, weights: (await readModel(modelDir, modelSha256)).weights };
}

/** The four example photos as one batch. */
export async function decodeExamples(): Promise<Uint8Array> {
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

/** Asserts that two engines said the same of the example photos, but for the order of float32 sums. */
export function assertSameAnswers(reference: EngineOutput | undefined, other: EngineOutput | undefined): void {
  assert.ok(reference !== undefined && other !== undefined);
  assert.deepEqual([reference.embeddings.length, other.embeddings.length], [4 * 2048, 4 * 2048]);
  for (let image = 0; image < 4; image += 1) {
    const embedding = ({ embeddings }: EngineOutput) => embeddings.slice(image * 2048, (image + 1) * 2048);
    const logits = ({ logits: all }: EngineOutput) => all.slice(image * 1000, (image + 1) * 1000);
    assert.ok(cosine(embedding(reference), embedding(other)) >= 0.99999);
    assert.deepEqual(topK(logits(other), 1).indices, topK(logits(reference), 1).indices);
    const apart = logits(other).map((logit, index) => Math.abs(logit - (logits(reference)[index] as number)));
    assert.ok(Math.max(...apart) < 1e-3);
  }
}
