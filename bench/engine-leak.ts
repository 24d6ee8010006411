/**
 * `npm run bench:engine-leak [-- --engine wasm --model tiny --images N --after N]`: a tiny network, or the real ResNet-50,
 * through one engine, and how the resident memory of this process grows with the images done, in MiB per 1,000 images,
 * after a warm-up. The warm-up is long: buffers that crossed between threads are freed when 32 MiB of them have come
 * together, 20,000 tiny images.
 */
import { parseArgs } from "node:util";
import type { Engine } from "../src/worker/model/engines/engine.js";
import type { GraphParts } from "../src/worker/model/graph-parts.js";
import { tinyImageBytes, tinyParts, tinyPixels } from "../test/support/definition.js";
import { decodeExamples, resnet50Parts } from "../test/support/examples.js";
import { slope } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "wasm" },
    model: { type: "string", default: "tiny" },
    images: { type: "string", default: "60000" },
    after: { type: "string", default: "20000" },
  },
});
const [images, after] = [Number(values.images), Number(values.after)];
type Open = (parts: GraphParts, options: { threads: number }) => Promise<Engine>;
const engines: Readonly<Record<string, () => Promise<Open>>> = {
  onnx: async () => (await import("../src/worker/model/engines/onnx.js")).openOnnxEngine,
  wasm: async () => (await import("../src/worker/model/engines/wasm.js")).openWasmEngine,
  tensorflow: async () => (await import("../src/worker/model/engines/tensorflow.js")).openTensorflowEngine,
};
const load = engines[values.engine];
if (load === undefined) throw new Error(`Expected --engine to be onnx, wasm or tensorflow, got ${values.engine}`);
const isTiny = values.model === "tiny";
const [parts, pixels] = isTiny ? [tinyParts(), tinyPixels] : [await resnet50Parts(), await decodeExamples()];
const imageBytes = isTiny ? tinyImageBytes : pixels.length / 4;

const engine = await (await load())(parts, { threads: 2 });
const samples: { x: number; y: number }[] = [];
for (let done = 0, batch = 0; done < images; batch += 1) {
  // Sizes change, as they do at the end of a source.
  const n = 1 + (batch % 3);
  await engine.infer(pixels.slice(0, n * imageBytes), n);
  done += n;
  if (batch % 25 === 0 && done >= after) samples.push({ x: done / 1000, y: process.memoryUsage().rss / 2 ** 20 });
}
await engine.close();
const [first, last] = [samples[0]?.y ?? 0, samples.at(-1)?.y ?? 0];
console.log(
  `${engine.name}, ${values.model}: ${slope(samples).toFixed(3)} MiB per 1,000 images after the first ${after} of ${images} ` +
    `(${samples.length} samples, from ${first.toFixed(0)} to ${last.toFixed(0)} MiB)`,
);
