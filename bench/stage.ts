/**
 * One measurement in a process of its own, so that stages do not share pools, caches or memory: `infer`, `decode` or
 * `end-to-end`. Started by `stages.ts` with a JSON argument; prints one JSON object.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPlaces } from "../src/library/places.js";
import { run } from "../src/library/run.js";
import type { Precision } from "../src/shared/precision.js";
import { openDecoder } from "../src/worker/compute/decode.js";
import { inputBytes } from "../src/worker/compute/protocol.js";
import { describeModel } from "../src/worker/model/describe-model.js";
import { openEngine } from "../src/worker/model/engines/open-engine.js";
import { modelDirectory } from "../src/worker/model/store.js";

export interface StageRequest {
  readonly stage: "infer" | "decode" | "end-to-end";
  /** Directory of images. */
  readonly photos: string;
  /** Images a batch, or decodes at once; of no meaning end to end. */
  readonly width: number;
  /** Images to measure, after a warm-up. */
  readonly images: number;
  readonly threads: number;
  readonly model: string;
  readonly precision: Precision;
  /** Where the model is; null for the user's own cache. */
  readonly cacheDir: string | null;
}

export interface StageResult {
  readonly imagesPerSecond: number;
}

const maxPixels = 100_000_000;

const stages = { infer: measureInfer, decode: measureDecode, "end-to-end": measureEndToEnd };
const request = JSON.parse(process.argv[2] ?? "") as StageRequest;
const cacheDir = request.cacheDir ?? findPlaces().cacheDir;
const model = await describeModel(cacheDir, request.model, request.precision);
const imagesPerSecond = await stages[request.stage](request);
process.stdout.write(JSON.stringify({ imagesPerSecond } satisfies StageResult));

async function readPhotos(dir: string): Promise<Buffer[]> {
  const names = (await readdir(dir)).filter((name) => /\.(jpe?g|png)$/i.test(name)).sort();
  return Promise.all(names.slice(0, 100).map((name) => readFile(join(dir, name))));
}

/** The model alone, on decoded photos. */
async function measureInfer({ photos, width, images, threads }: StageRequest): Promise<number> {
  const decoder = openDecoder({ preprocess: model.preprocess, maxPixels });
  const batch = new Uint8Array(width * inputBytes);
  for (const [i, bytes] of (await readPhotos(photos)).slice(0, width).entries()) {
    const outcome = await decoder.decode(bytes);
    if (outcome.ok) batch.set(outcome.value.pixels, i * inputBytes);
  }
  const modelDir = modelDirectory(cacheDir, model.name);
  const engine = await openEngine({ ...model, engine: "onnx", modelDir, engineThreads: threads });
  await engine.infer(batch, width);
  const startedMs = performance.now();
  let done = 0;
  for (; done < images; done += width) await engine.infer(batch, width);
  const rate = done / ((performance.now() - startedMs) / 1000);
  await engine.close();
  return rate;
}

/** Decoding alone, `width` at once. */
async function measureDecode({ photos, width, images }: StageRequest): Promise<number> {
  const decoder = openDecoder({ preprocess: model.preprocess, maxPixels });
  const files = await readPhotos(photos);
  const decodeMany = async (count: number) => {
    let next = 0;
    const lane = async () => {
      while (next < count) {
        const bytes = files[next++ % files.length];
        if (bytes === undefined || !(await decoder.decode(bytes)).ok) throw new Error("Expected every photo to decode");
      }
    };
    await Promise.all(Array.from({ length: width }, lane));
  };
  await decodeMany(Math.min(images, files.length));
  const startedMs = performance.now();
  await decodeMany(images);
  return images / ((performance.now() - startedMs) / 1000);
}

/** The whole way, from the first chunk that a ready worker takes to the last one committed, as Parquet. */
async function measureEndToEnd({ photos, precision }: StageRequest): Promise<number> {
  const out = await mkdtemp(join(tmpdir(), "lm-bench-out-"));
  let startedMs = Number.NaN;
  const onStart = () => {
    startedMs = performance.now();
  };
  const { summary } = await run(photos, { out: join(out, "dataset"), cacheDir, model: model.name, precision, onStart });
  const seconds = (performance.now() - startedMs) / 1000;
  await rm(out, { recursive: true, force: true });
  if (summary.failed > 0) throw new Error(`Expected no failed rows, got ${JSON.stringify(summary.failuresByCode)}`);
  return summary.items / seconds;
}
