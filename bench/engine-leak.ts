/**
 * `npm run bench:engine-leak [-- --engine wasm --model tiny --images N --after N]`: a tiny network, or the real ResNet-50,
 * through one engine, and how the resident memory of this process grows with the images done, in MiB per 1,000 images,
 * after a warm-up. The tiny one is a ResNet-50 of an eighth of the width, for images of 64 x 64. Pixels lie in one memory, as
 * they do in the compute child.
 */
import { parseArgs } from "node:util";
import { torchvisionSpec } from "../src/worker/model/architectures.js";
import type { Engine } from "../src/worker/model/engines/engine.js";
import type { GraphParts } from "../src/worker/model/graph-parts.js";
import { freshWeights } from "../src/worker/model/init.js";
import { torchvisionPreprocess } from "../src/worker/model/preprocess.js";
import type { ResNetSpec } from "../src/worker/model/spec.js";
import { foldWeights } from "../src/worker/model/weights/fold.js";
import { createRandom } from "../src/worker/model/weights/random.js";
import { decodeExamples, resnet50Parts } from "../test/support/examples.js";
import { slope } from "./support/statistics.js";

type Open = (parts: GraphParts, options: { threads: number }) => Promise<Engine>;
const engines: Readonly<Record<string, () => Promise<Open>>> = {
  onnx: async () => (await import("../src/worker/model/engines/onnx.js")).openOnnxEngine,
  wasm: async () => (await import("../src/worker/model/engines/wasm.js")).openWasmEngine,
  tensorflow: async () => (await import("../src/worker/model/engines/tensorflow.js")).openTensorflowEngine,
  webgpu: async () => (await import("../src/worker/model/engines/webgpu.js")).openWebgpuEngine,
};

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "wasm" },
    model: { type: "string", default: "tiny" },
    images: { type: "string", default: "20000" },
    after: { type: "string", default: "2000" },
  },
});
const [images, after] = [Number(values.images), Number(values.after)];
const load = engines[values.engine];
if (load === undefined) throw new Error(`Expected --engine to be one of ${Object.keys(engines)}, got ${values.engine}`);
const [parts, pixels] = values.model === "tiny" ? tiny() : [await resnet50Parts(), await decodeExamples()];
const imageBytes = parts.spec.inputSize ** 2 * 3;

const engine = await (await load())(parts, { threads: 2 });
const samples: { x: number; y: number }[] = [];
const started = performance.now();
for (let done = 0, batch = 0; done < images; batch += 1) {
  // Sizes change, as they do at the end of a source.
  const n = 1 + (batch % 3);
  await engine.infer(pixels.subarray(0, n * imageBytes), n);
  done += n;
  if (batch % 25 === 0 && done >= after) samples.push({ x: done / 1000, y: process.memoryUsage().rss / 2 ** 20 });
}
const seconds = (performance.now() - started) / 1000;
await engine.close();
const [first, last] = [samples[0]?.y ?? 0, samples.at(-1)?.y ?? 0];
console.log(
  `${engine.name}, ${values.model}: ${slope(samples).toFixed(3)} MiB per 1,000 images after the first ${after} of ${images} ` +
    `(${samples.length} samples, from ${first.toFixed(0)} to ${last.toFixed(0)} MiB; ${(images / seconds).toFixed(1)} images/s)`,
);
// Dawn ends a process badly that is left to collect its device.
process.exit();

function tiny(): [GraphParts, Uint8Array] {
  const whole = torchvisionSpec("resnet50");
  const stages = whole.stages.map((stage) => ({ ...stage, width: stage.width / 8 }));
  const spec: ResNetSpec = { ...whole, inputSize: 64, stemWidth: whole.stemWidth / 8, stages };
  const random = createRandom(1);
  const weights = foldWeights(spec, freshWeights(spec, random));
  const noise = Uint8Array.from({ length: 3 * spec.inputSize ** 2 * 3 }, () => Math.floor(random.uniform() * 256));
  return [{ spec, preprocess: torchvisionPreprocess, weights }, noise];
}
