/** Entry of a test's process, since Dawn does not leave the one that loaded it: tiny networks on WebGPU, and their tensors. */
import { memory } from "@tensorflow/tfjs-core";
import { globals } from "webgpu";
import { openWebgpuEngine } from "../../../../src/worker/model/engines/webgpu.js";
import { bgr, rgb, tinyParts, tinyPixels, tinySpecV15 } from "../../../support/definition.js";
import { tinySpec } from "../../../support/tiny-resnet.js";

export interface WebgpuAnswer {
  readonly name: string;
  /** Of both forms of the network: v1 with BGR, v1.5 with RGB and a scale. */
  readonly outputs: readonly { readonly embeddings: Float32Array; readonly logits: Float32Array }[];
  /** After each of some batches. */
  readonly tensorCounts: readonly number[];
  /** What is said of a batch that is too large for the device, and whether a smaller one computes the same before and after. */
  readonly refusal: string;
  readonly isSameAfter: boolean;
}

/** WebGPU's default, which drivers of real GPUs may not exceed; SwiftShader's is eight times as much. */
const bindingLimit = 2 ** 27;

function limitDevices(): void {
  const { prototype } = (
    globals as unknown as { GPUAdapter: { prototype: { requestDevice(options: object): unknown } } }
  ).GPUAdapter;
  const { requestDevice } = prototype;
  prototype.requestDevice = function (options: { readonly requiredLimits?: object }) {
    const requiredLimits = { ...options.requiredLimits, maxStorageBufferBindingSize: bindingLimit };
    return requestDevice.call(this, { ...options, requiredLimits });
  };
}

/** Two images, then as many as exceed the limit, then the two again. */
async function overload(): Promise<Pick<WebgpuAnswer, "refusal" | "isSameAfter">> {
  const spec = { ...tinySpec, inputSize: 224 };
  const engine = await openWebgpuEngine(tinyParts(spec, rgb));
  const imageBytes = 224 * 224 * 3;
  const two = new Uint8Array(2 * imageBytes).map((_, i) => i % 251);
  const before = await engine.infer(two, 2);
  const n = Math.ceil(bindingLimit / (imageBytes * 4)) + 1;
  const refusal = await engine.infer(new Uint8Array(n * imageBytes), n).then(() => "none", String);
  const after = await engine.infer(two, 2);
  await engine.close();
  return { refusal, isSameAfter: before.logits.every((logit, i) => logit === after.logits[i]) };
}

try {
  const outputs: WebgpuAnswer["outputs"][number][] = [];
  const tensorCounts: number[] = [];
  let name = "";
  limitDevices();
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
  process.send?.({ name, outputs, tensorCounts, ...(await overload()) } satisfies WebgpuAnswer);
} catch (error) {
  process.send?.({ error: String(error) });
}
