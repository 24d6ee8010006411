/** Entry of a test's process, since Dawn does not leave the one that loaded it: tiny networks on WebGPU, and their tensors. */
import { memory } from "@tensorflow/tfjs-core";
import { openWebgpuEngine } from "../../../../src/worker/model/engines/webgpu.js";
import { bgr, rgb, tinyParts, tinyPixels, tinySpecV15 } from "../../../support/definition.js";
import { tinySpec } from "../../../support/tiny-resnet.js";

export interface WebgpuAnswer {
  readonly name: string;
  /** Of both forms of the network: v1 with BGR, v1.5 with RGB and a scale. */
  readonly outputs: readonly { readonly embeddings: Float32Array; readonly logits: Float32Array }[];
  /** After each of some batches. */
  readonly tensorCounts: readonly number[];
}

try {
  const outputs: WebgpuAnswer["outputs"][number][] = [];
  const tensorCounts: number[] = [];
  let name = "";
  for (const [spec, preprocess] of [[tinySpec, bgr] as const, [tinySpecV15, rgb] as const]) {
    const engine = await openWebgpuEngine(tinyParts(spec, preprocess));
    name = engine.name;
    outputs.push(await engine.infer(tinyPixels, 3));
    if (spec === tinySpec) {
      for (let batch = 0; batch < 10; batch += 1) {
        await engine.infer(tinyPixels, 3);
        tensorCounts.push(memory().numTensors);
      }
    }
    await engine.close();
  }
  process.send?.({ name, outputs, tensorCounts } satisfies WebgpuAnswer);
} catch (error) {
  process.send?.({ error: String(error) });
}
