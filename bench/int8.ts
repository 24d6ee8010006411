/**
 * `npm run bench:int8 -- --photos DIR [--labels TSV] [--rounds N] [--precision int8-7bit]`: an int8 precision against fp32,
 * both open in one process. First every photo through both: cosine of the embeddings, first labels, and top-1 and top-5
 * where the classes are known. Then the speed at batch 8 in interleaved rounds, so that a noisy machine disturbs both
 * alike; the ratio of a round is what counts.
 */
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { findPlaces } from "../src/library/places.js";
import { type Precision, precisions } from "../src/shared/precision.js";
import { openDecoder } from "../src/worker/compute/decode.js";
import { inputBytes } from "../src/worker/compute/protocol.js";
import { cosine } from "../src/worker/model/cosine.js";
import { describeModel } from "../src/worker/model/describe-model.js";
import type { Engine } from "../src/worker/model/engines/engine.js";
import { openEngine } from "../src/worker/model/engines/open-engine.js";
import { modelDirectory } from "../src/worker/model/store.js";
import { topK } from "../src/worker/model/top-k.js";
import { readClasses } from "./support/labels.js";
import { median } from "./support/statistics.js";

const batchSize = 8;
const batchesARound = 6;

const { values } = parseArgs({
  options: {
    photos: { type: "string" },
    labels: { type: "string" },
    rounds: { type: "string", default: "9" },
    precision: { type: "string", default: "int8" },
  },
});
const quantised = precisions.find((precision) => precision === values.precision && precision !== "fp32");
if (values.photos === undefined || quantised === undefined) {
  console.error("Usage: npm run bench:int8 -- --photos DIR [--labels TSV] [--rounds N] [--precision int8|int8-7bit]");
  process.exit(2);
}
const { cacheDir } = findPlaces();
const { preprocess } = await describeModel(cacheDir, "resnet50", "fp32");
const classes = values.labels === undefined ? null : await readClasses(values.labels);
const photos = await decodePhotos(resolve(values.photos));
console.log(`${cpus()[0]?.model}, ${availableParallelism()} cores, ${await vnniOf()}, Node ${process.version}`);

const engines = { fp32: await open("fp32"), quantised: await open(quantised) };
await compareAnswers();
await compareSpeed(Number(values.rounds));
await Promise.all([engines.fp32.close(), engines.quantised.close()]);

async function open(precision: Precision): Promise<Engine> {
  const { modelSha256, calibration } = await describeModel(cacheDir, "resnet50", precision);
  const modelDir = modelDirectory(cacheDir, "resnet50");
  const engineThreads = availableParallelism();
  return openEngine({ engine: "onnx", modelDir, modelSha256, precision, calibration, engineThreads });
}

async function decodePhotos(dir: string): Promise<{ name: string; pixels: Uint8Array }[]> {
  const decoder = openDecoder({ preprocess, maxPixels: 100_000_000 });
  const found: { name: string; pixels: Uint8Array }[] = [];
  for (const name of (await readdir(dir)).filter((file) => /\.(jpe?g|png)$/i.test(file)).sort()) {
    const outcome = await decoder.decode(await readFile(join(dir, name)));
    if (outcome.ok) found.push({ name, pixels: outcome.value.pixels });
    else console.error(`${name} left out: ${outcome.failure.message}`);
  }
  return found;
}

async function compareAnswers(): Promise<void> {
  const cosines: number[] = [];
  const hits = { known: 0, fp32: [0, 0], quantised: [0, 0] };
  let agreeing = 0;
  for (const { name, pixels } of photos) {
    const [expected, got] = [await engines.fp32.infer(pixels, 1), await engines.quantised.infer(pixels, 1)];
    cosines.push(cosine(got.embeddings, expected.embeddings));
    const [expectedTop, gotTop] = [topK(expected.logits, 5).indices, topK(got.logits, 5).indices];
    if (expectedTop[0] === gotTop[0]) agreeing += 1;
    const known = classes?.get(name);
    if (known === undefined) continue;
    hits.known += 1;
    count(hits.fp32, expectedTop, known);
    count(hits.quantised, gotTop, known);
  }
  const sorted = cosines.toSorted((a, b) => a - b);
  const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
  const [worst, first] = [sorted[0] ?? Number.NaN, sorted[Math.floor(sorted.length / 100)] ?? Number.NaN];
  console.log(`${photos.length} photos, ${quantised} against fp32: same first label ${agreeing}`);
  console.log(`cosine: mean ${mean.toFixed(5)}, 1st percentile ${first.toFixed(4)}, worst ${worst.toFixed(4)}`);
  if (hits.known === 0) return;
  const show = ([top1, top5]: number[]) => `top-1 ${top1}, top-5 ${top5}`;
  console.log(`of ${hits.known} known: fp32 ${show(hits.fp32)}; ${quantised} ${show(hits.quantised)}`);
}

function count(hits: number[], top: readonly number[], known: number): void {
  if (top[0] === known) hits[0] = (hits[0] ?? 0) + 1;
  if (top.includes(known)) hits[1] = (hits[1] ?? 0) + 1;
}

async function compareSpeed(rounds: number): Promise<void> {
  const batch = new Uint8Array(batchSize * inputBytes);
  for (let i = 0; i < batchSize; i += 1) batch.set(photos[i % photos.length]?.pixels ?? [], i * inputBytes);
  const rates = { fp32: [] as number[], quantised: [] as number[] };
  const kinds = ["fp32", "quantised"] as const;
  for (let round = 0; round <= rounds; round += 1) {
    for (const kind of kinds) {
      const rate = await rateOf(engines[kind], batch);
      // The first round is the warm-up.
      if (round > 0) rates[kind].push(rate);
    }
  }
  const ratios = rates.quantised.map((rate, i) => rate / (rates.fp32[i] ?? Number.NaN));
  console.log(`batch ${batchSize}, ${rounds} interleaved rounds of ${batchesARound} batches: images/s, min median max`);
  const show = (numbers: number[], digits: number) =>
    [Math.min(...numbers), median(numbers), Math.max(...numbers)].map((n) => n.toFixed(digits)).join(" ");
  console.log(`fp32  ${show(rates.fp32, 1)}\n${quantised}  ${show(rates.quantised, 1)}\nratio ${show(ratios, 2)}`);
}

async function rateOf(engine: Engine, batch: Uint8Array): Promise<number> {
  const startedMs = performance.now();
  for (let i = 0; i < batchesARound; i += 1) await engine.infer(batch, batchSize);
  return (batchSize * batchesARound) / ((performance.now() - startedMs) / 1000);
}

/** Which instructions for 8-bit sums the CPU has, by its flags (Linux). */
async function vnniOf(): Promise<string> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const found = ["avx512_vnni", "avx_vnni"].filter((flag) => new RegExp(`\\b${flag}\\b`).test(text));
  return found.length > 0 ? found.join(", ") : "no VNNI seen";
}
