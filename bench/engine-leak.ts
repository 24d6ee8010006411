/**
 * `npm run bench:engine-leak [-- --engine wasm --images N --after N]`: a tiny network through one engine, and how the
 * resident memory of this process grows with the images done, in MiB per 1,000 images, after a warm-up. The warm-up is
 * long: buffers that crossed between threads are freed when 32 MiB of them have come together, 20,000 tiny images.
 */
import { parseArgs } from "node:util";
import { openOnnxEngine } from "../src/worker/model/engines/onnx.js";
import { openWasmEngine } from "../src/worker/model/engines/wasm.js";
import { tinyImageBytes, tinyParts, tinyPixels } from "../test/support/definition.js";
import { slope } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "wasm" },
    images: { type: "string", default: "60000" },
    after: { type: "string", default: "20000" },
  },
});
const [images, after] = [Number(values.images), Number(values.after)];
const opened = { onnx: openOnnxEngine, wasm: openWasmEngine }[values.engine];
if (opened === undefined) throw new Error(`Expected --engine to be onnx or wasm, got ${values.engine}`);

const engine = await opened(tinyParts(), { threads: 2 });
const samples: { x: number; y: number }[] = [];
for (let done = 0, batch = 0; done < images; batch += 1) {
  // Sizes change, as they do at the end of a source.
  const n = 1 + (batch % 3);
  await engine.infer(tinyPixels.slice(0, n * tinyImageBytes), n);
  done += n;
  if (batch % 25 === 0 && done >= after) samples.push({ x: done / 1000, y: process.memoryUsage().rss / 2 ** 20 });
}
await engine.close();
const [first, last] = [samples[0]?.y ?? 0, samples.at(-1)?.y ?? 0];
console.log(
  `${engine.name}: ${slope(samples).toFixed(3)} MiB per 1,000 images after the first ${after} of ${images} ` +
    `(${samples.length} samples, from ${first.toFixed(0)} to ${last.toFixed(0)} MiB)`,
);
