/**
 * `node dist/bench/parity/parity.js DIR`: our import, engines and preprocessing against PyTorch, torchvision and Keras,
 * whose numbers `reference.py` and `keras_reference.py` left in DIR. Prints one JSON object; exit status 1 where logits or
 * embeddings are further apart than is allowed.
 */
import { Buffer } from "node:buffer";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPlaces } from "../../src/library/places.js";
import type { EngineName } from "../../src/shared/engine-names.js";
import { type Decoder, openDecoder } from "../../src/worker/compute/decode.js";
import type { DecodedImage } from "../../src/worker/compute/protocol.js";
import { findModel, type Model } from "../../src/worker/model/catalog.js";
import { cosine } from "../../src/worker/model/cosine.js";
import type { Engine } from "../../src/worker/model/engines/engine.js";
import { openEngine, whyUnavailable } from "../../src/worker/model/engines/open-engine.js";
import { importModel } from "../../src/worker/model/import.js";
import { importOnnxModel, isOnnxPath } from "../../src/worker/model/onnx-file/import.js";
import { outputSizesOf } from "../../src/worker/model/output-sizes.js";
import { modelDirectory } from "../../src/worker/model/store.js";

const allowed = { logitDifference: 1e-3, cosine: 0.99999 };
const squareBytes = 224 * 224 * 3;
const batchSize = 4;

/** A weight file, and what the names of the files begin with that hold its logits and embeddings. */
interface ReferenceCase {
  readonly weights: string;
  readonly outputs: string;
}

interface Reference {
  readonly photos: readonly string[];
  readonly compared: number;
  readonly cases: readonly ReferenceCase[];
  readonly versions: Readonly<Record<string, string>>;
}

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error("Usage: node dist/bench/parity/parity.js DIR, where bench/parity/reference.py has written to DIR");
  process.exit(2);
}
const reference: Reference = JSON.parse(await readFile(join(directory, "reference.json"), "utf8"));
const squares = new Uint8Array(await readFile(join(directory, "squares.u8")));
const cacheDir = await mkdtemp(join(tmpdir(), "lm-parity-"));
try {
  const usual: readonly EngineName[] = ["onnx", "wasm"];
  const all = (await whyUnavailable("tensorflow")) === null ? [...usual, "tensorflow" as const] : usual;
  const weights: WeightsComparison[] = [];
  for (const given of reference.cases) {
    // An .onnx file runs on ONNX Runtime alone.
    const engines: readonly EngineName[] = isOnnxPath(given.weights) ? ["onnx"] : all;
    for (const engine of engines) weights.push(await compareWeights(given, engine));
  }
  const preprocessing = await comparePreprocessing(squares, reference);
  console.log(JSON.stringify({ versions: reference.versions, weights, preprocessing }, null, 2));
  const isApart = ({ largestLogitDifference, leastLogitCosine, leastEmbeddingCosine }: WeightsComparison) =>
    !(
      largestLogitDifference <= allowed.logitDifference &&
      Math.min(leastLogitCosine, leastEmbeddingCosine) >= allowed.cosine
    );
  if (weights.some(isApart)) process.exitCode = 1;
} finally {
  await rm(cacheDir, { recursive: true, force: true });
}

type WeightsComparison = Awaited<ReturnType<typeof compareWeights>>;

/** The same squares through PyTorch or Keras and through one of our engines, the model having come through our importers. */
async function compareWeights({ weights, outputs }: ReferenceCase, engine: EngineName) {
  const { compared } = reference;
  const name = `${weights.replace(".", "-")}-${engine}`;
  const given = { cacheDir, name, path: join(directory as string, weights) };
  const { model } = isOnnxPath(weights)
    ? await importOnnxModel({ ...given, prove: async () => {} })
    : await importModel(given);
  const logits = await floatsOf(`${outputs}-logits.f32`);
  const embeddings = await floatsOf(`${outputs}-embeddings.f32`);
  const ours = await infer(model, cacheDir, squares.subarray(0, compared * squareBytes), engine);
  const { classes } = outputSizesOf(model);
  const width = embeddings.length / compared;
  const rows = Array.from({ length: compared }, (_, image) => image);
  const logitCosines = rows.map((image) => cosine(row(logits, image, classes), row(ours.logits, image, classes)));
  const embeddingCosines = rows.map((image) =>
    cosine(row(embeddings, image, width), row(ours.embeddings, image, width)),
  );
  return {
    weights,
    engine: ours.engine,
    images: compared,
    modelSha256: model.modelSha256,
    largestLogit: logits.reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0),
    largestLogitDifference: logits.reduce(
      (most, logit, i) => Math.max(most, Math.abs(logit - (ours.logits[i] as number))),
      0,
    ),
    leastLogitCosine: Math.min(...logitCosines),
    leastEmbeddingCosine: Math.min(...embeddingCosines),
    top1Agreement:
      rows.filter((i) => best(row(logits, i, classes)) === best(row(ours.logits, i, classes))).length / compared,
  };
}

interface PhotoComparison {
  readonly photo: string;
  /** Whether the resize enlarges the photo. */
  readonly isEnlarged: boolean;
  readonly pixelDifference: number;
  readonly embeddingCosine: number;
  readonly hasSameTop1: boolean;
}

/** torchvision's squares and ours, by pixel, and by what the real `resnet50` says of them. */
async function comparePreprocessing(theirs: Uint8Array, { photos }: Reference) {
  const model = findModel("resnet50");
  const { preprocess, spec } = model;
  const decoder = openDecoder({ preprocess, maxPixels: 100_000_000 });
  const decoded = [];
  for (const photo of photos) decoded.push(await decode(decoder, photo));
  const ours = new Uint8Array(Buffer.concat(decoded.map(({ pixels }) => pixels)));
  const [a, b] = [await infer(model, findPlaces().cacheDir, theirs), await infer(model, findPlaces().cacheDir, ours)];
  const width = a.embeddings.length / photos.length;
  const compared = decoded.map(
    (image, i): PhotoComparison => ({
      photo: photos[i]?.split("/").at(-1) ?? "",
      isEnlarged: Math.min(image.width, image.height) < preprocess.shortestSide,
      pixelDifference: meanDifference(row(theirs, i, squareBytes), image.pixels),
      embeddingCosine: cosine(row(a.embeddings, i, width), row(b.embeddings, i, width)),
      hasSameTop1: best(row(a.logits, i, spec.classes)) === best(row(b.logits, i, spec.classes)),
    }),
  );
  return {
    all: summarise(compared),
    shrunk: summarise(compared.filter(({ isEnlarged }) => !isEnlarged)),
    enlarged: summarise(compared.filter(({ isEnlarged }) => isEnlarged)),
  };
}

function summarise(compared: readonly PhotoComparison[]) {
  const sorted = compared.toSorted((x, y) => y.pixelDifference - x.pixelDifference);
  const mean = (value: (each: PhotoComparison) => number) =>
    compared.reduce((sum, each) => sum + value(each), 0) / compared.length;
  return {
    images: compared.length,
    meanPixelDifference: mean(({ pixelDifference }) => pixelDifference),
    medianPixelDifference: sorted[Math.floor(sorted.length / 2)]?.pixelDifference,
    worst: sorted.slice(0, 3).map(({ photo, pixelDifference }) => `${photo} ${pixelDifference.toFixed(2)}`),
    top1Agreement: mean(({ hasSameTop1 }) => Number(hasSameTop1)),
    meanEmbeddingCosine: mean(({ embeddingCosine }) => embeddingCosine),
    leastEmbeddingCosine: Math.min(...compared.map(({ embeddingCosine }) => embeddingCosine)),
  };
}

async function decode(decoder: Decoder, photo: string): Promise<DecodedImage> {
  const outcome = await decoder.decode(await readFile(photo));
  if (!outcome.ok) throw new Error(`${photo}: ${outcome.failure.message}`);
  return outcome.value;
}

async function infer({ name, modelSha256 }: Model, cache: string, pixels: Uint8Array, engineName: EngineName = "onnx") {
  const modelDir = modelDirectory(cache, name);
  const engine: Engine = await openEngine({ engine: engineName, modelDir, modelSha256, engineThreads: 2 });
  const count = pixels.length / squareBytes;
  const logits = new Float32Array(count * engine.classes);
  const embeddings = new Float32Array(count * engine.embeddingWidth);
  try {
    for (let start = 0; start < count; start += batchSize) {
      const n = Math.min(batchSize, count - start);
      const output = await engine.infer(pixels.slice(start * squareBytes, (start + n) * squareBytes), n);
      logits.set(output.logits, start * engine.classes);
      embeddings.set(output.embeddings, start * engine.embeddingWidth);
    }
    return { engine: engine.name, logits, embeddings };
  } finally {
    await engine.close();
  }
}

async function floatsOf(file: string): Promise<Float32Array> {
  const bytes = new Uint8Array(await readFile(join(directory as string, file)));
  return new Float32Array(bytes.buffer);
}

function row<T extends Float32Array | Uint8Array>(data: T, index: number, length: number): T {
  return data.subarray(index * length, (index + 1) * length) as T;
}

function best(logits: Float32Array): number {
  return logits.reduce((top, logit, index) => (logit > (logits[top] as number) ? index : top), 0);
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (const [index, value] of a.entries()) sum += Math.abs(value - (b[index] as number));
  return sum / a.length;
}
