/**
 * `npm run bench [-- --photos DIR --images N --rounds N --precision P]`: model alone, decoding alone, and the whole way through queue and
 * Parquet, interleaved, so that a noisy machine disturbs all of them alike. Each stage counts by the best of its sweep.
 * The bound is 1 / (1/infer + 1/decode): what cores that both stages share could reach with no cost in between.
 */
import { spawn } from "node:child_process";
import { access } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { precisions } from "../src/shared/precision.js";
import type { StageRequest, StageResult } from "./stage.js";
import { makeCorpus } from "./support/corpus.js";
import { childCpuSeconds } from "./support/process-times.js";
import { median } from "./support/statistics.js";

const { values } = parseArgs({
  options: {
    photos: { type: "string" },
    images: { type: "string", default: "400" },
    rounds: { type: "string", default: "5" },
    precision: { type: "string", default: "fp32" },
  },
});
const threads = availableParallelism();
const photos = resolve(values.photos ?? (await firstPresent("../shared/photos-labelled", "examples/photos")));
const images = Number(values.images);
const rounds = Number(values.rounds);
const precision = precisions.find((each) => each === values.precision);
if (precision === undefined)
  throw new Error(`Expected --precision to be ${precisions.join(", ")}, got ${values.precision}`);

interface Measurement {
  readonly name: string;
  readonly request: StageRequest;
  readonly rates: number[];
  readonly cpuSecondsPerImage: number[];
}

const corpus = await makeCorpus(photos, images);
const stage = { photos: corpus.dir, images, threads, model: "resnet50", precision, cacheDir: null };
const measurement = (name: string, request: StageRequest): Measurement => ({
  name,
  request,
  rates: [],
  cpuSecondsPerImage: [],
});
const infer = [1, 4, 8, 16].map((width) =>
  measurement(`infer, batch ${width}`, { ...stage, stage: "infer", width, images: Math.min(images, 128) }),
);
const decode = [1, threads, threads + 1, 2 * threads].map((width) =>
  measurement(`decode, ${width} at once`, { ...stage, stage: "decode", width }),
);
const endToEnd = measurement("end to end", { ...stage, stage: "end-to-end", width: 0 });
const all = [...infer, ...decode, endToEnd];

try {
  for (let round = 1; round <= rounds; round += 1) {
    for (const each of all) await measure(each);
    console.error(`round ${round} of ${rounds}: end to end ${endToEnd.rates.at(-1)?.toFixed(1)} images/s`);
  }
} finally {
  await corpus.remove();
}
report();

async function measure({ request, rates, cpuSecondsPerImage }: Measurement): Promise<void> {
  const cpuBefore = await childCpuSeconds();
  const { imagesPerSecond } = await runStage(request);
  rates.push(imagesPerSecond);
  cpuSecondsPerImage.push(((await childCpuSeconds()) - cpuBefore) / request.images);
}

async function runStage(request: StageRequest): Promise<StageResult> {
  const entry = fileURLToPath(new URL("./stage.js", import.meta.url));
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(Math.max(4, 2 * threads + 2)) };
  const child = spawn(process.execPath, [entry, JSON.stringify(request)], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  for await (const data of child.stdout) text += data;
  return JSON.parse(text) as StageResult;
}

function report(): void {
  const best = (sweep: Measurement[]) => sweep.reduce((a, b) => (median(b.rates) > median(a.rates) ? b : a));
  const [bestInfer, bestDecode] = [best(infer), best(decode)];
  const bounds = endToEnd.rates.map((_, i) => 1 / (1 / at(bestInfer, i) + 1 / at(bestDecode, i)));
  const ratios = endToEnd.rates.map((rate, i) => rate / (bounds[i] ?? Number.NaN));
  console.log(
    `${cpus()[0]?.model}, ${threads} cores, Node ${process.version}; ${images} images, ${rounds} rounds, medians`,
  );
  for (const { name, rates } of all) console.log(`${name.padEnd(20)} ${median(rates).toFixed(1).padStart(7)} images/s`);
  console.log(`bound (${bestInfer.name}; ${bestDecode.name}): ${median(bounds).toFixed(1)} images/s`);
  console.log(
    `end to end / bound: ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)})`,
  );
  console.log(`CPU seconds an image, end to end with start: ${median(endToEnd.cpuSecondsPerImage).toFixed(4)}`);
}

function at({ rates }: Measurement, round: number): number {
  return rates[round] ?? Number.NaN;
}

async function firstPresent(...paths: string[]): Promise<string> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  throw new Error(`Expected one of ${paths.join(", ")} to be there; give --photos`);
}
