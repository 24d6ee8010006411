/**
 * Entry of the engine thread: opens the model, runs batches one at a time, picks the top classes, gives all memory back.
 * Started by `engine-client` with `workerData`; ends with its process.
 */
import { parentPort, workerData } from "node:worker_threads";
import { largestBatchSize } from "../../shared/batch-size.js";
import { failure, LabelmillError, messageOf } from "../../shared/errors.js";
import type { EngineChoice } from "../model/engine-choice.js";
import { openChosenEngine } from "../model/engines/open-chosen.js";
import { openObservingEngine } from "../model/engines/open-int8.js";
import { drawGoldenImages, goldenCount } from "../model/int8/golden.js";
import { inputSize } from "../model/preprocess.js";
import { topK } from "../model/top-k.js";
import { failedWith, succeeded } from "../outcome.js";
import type { BatchInput, BatchOutput, EngineThreadSettings, FromEngineThread } from "./engine-client.js";
import { type FittedEngine, fitBatches, type LoweredLimit } from "./fit-batches.js";
import { type BatchChoice, measureBatchSize } from "./measure-batch.js";
import { inputBytes } from "./protocol.js";

const settings = workerData as EngineThreadSettings;

function post(message: FromEngineThread, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

/** After this the thread answers nothing more; the child passes it on and ends. */
function postFatal(thrown: unknown): void {
  const known = thrown instanceof LabelmillError;
  const error = known ? thrown : new LabelmillError("ENGINE_FAILED", { reason: messageOf(thrown) });
  post({ type: "fatal", code: error.code, message: messageOf(error) });
}

/** No CPU that labels images in earnest takes as long. */
const slowFirstMs = 1_000;

/** An engine that works, and the halvings that memory has taken and nobody was told of yet. */
interface Running {
  readonly engine: FittedEngine;
  readonly classes: number;
  lowered: LoweredLimit[];
}

async function start(): Promise<void> {
  const started = performance.now();
  const { engine, choice, golden } = settings.observe ? await observe() : await choose();
  const { name, embeddingWidth, classes, isOnGpu = false } = engine;
  const onLowered = (lowered: LoweredLimit) => void running.lowered.push(lowered);
  const asked = settings.batchSize ?? engine.usualBatchSize ?? "auto";
  const limit = asked === "auto" ? largestBatchSize : asked;
  const running: Running = {
    engine: fitBatches(engine, { limit, imageBytes: inputBytes, onLowered }),
    classes,
    lowered: [],
  };
  const firstMs = await proveWorking(running);
  const loadMs = performance.now() - started;
  const { batchSize, why: whyBatchSize } = await chooseBatchSize(running.engine, asked, firstMs);
  // A GPU's first call may be all compiling, which says nothing of a batch.
  const imageMs = batchSize > 1 && firstMs > slowFirstMs ? await proveWorking(running) : firstMs;
  // The report says it.
  running.lowered = [];
  parentPort?.on("message", (input: BatchInput) => void answer(running, input));
  post({
    type: "ready",
    report: {
      engine: name,
      chosen: choice.engine,
      why: choice.why,
      isOnGpu,
      embeddingWidth,
      loadMs,
      imageMs,
      batchSize,
      whyBatchSize,
      golden,
    },
  });
}

const choose = async () => ({ ...(await openChosenEngine(settings.engine, settings)), golden: [] });

const observe = async () => ({
  ...(await openObservingEngine(settings)),
  choice: { engine: "onnx", why: "it measures" } satisfies EngineChoice,
});

/**
 * One image that is known to be good, and its milliseconds: what fails later fails on the strength of a working engine.
 */
async function proveWorking(running: Running): Promise<number> {
  const { top, inferMs } = await runBatch(running, { pixels: new ArrayBuffer(inputBytes), topK: [1] });
  const [first] = top;
  if (first?.ok === false) throw new Error(first.failure.message);
  return inferMs;
}

/** What was asked for, or what a measurement finds; larger batches are not run from then on. */
async function chooseBatchSize(engine: FittedEngine, asked: number | "auto", firstMs: number): Promise<BatchChoice> {
  const timeBatch = async (n: number): Promise<number | null> => {
    const pixels = repeatImages(n);
    const started = performance.now();
    await engine.infer(pixels, n);
    return engine.limit < n ? null : performance.now() - started;
  };
  if (asked === "auto") {
    const choice = await measureBatchSize(timeBatch, firstMs);
    engine.lower(choice.batchSize);
    return choice;
  }
  if (engine.isShapeBound) await timeBatch(asked);
  const halved = engine.limit < asked ? ", halved for want of memory" : "";
  return {
    batchSize: engine.limit,
    why: settings.batchSize === null ? "usual on a CPU" : `--batch-size ${asked}${halved}`,
  };
}

/** `n` images, the same at every call, with structure as photos have. */
function repeatImages(n: number): Uint8Array {
  const drawn = drawGoldenImages(inputSize);
  const pixels = new Uint8Array(n * inputBytes);
  for (let image = 0; image < n; image += 1) {
    const from = (image % goldenCount) * inputBytes;
    pixels.set(drawn.subarray(from, from + inputBytes), image * inputBytes);
  }
  return pixels;
}

async function answer(running: Running, input: BatchInput): Promise<void> {
  try {
    const output = await runBatch(running, input);
    post({ type: "output", output }, [output.pixels, output.embeddings.buffer as ArrayBuffer]);
  } catch (thrown) {
    postFatal(thrown);
  }
}

async function runBatch(running: Running, { pixels, topK: wanted }: BatchInput): Promise<BatchOutput> {
  const n = wanted.length;
  const { engine, classes } = running;
  const started = performance.now();
  const { embeddings, logits, misfits } = await engine.infer(new Uint8Array(pixels, 0, n * inputBytes), n);
  const inferMs = performance.now() - started;
  // Throws for scores that are not finite. No pixels of 0 to 255 can cause that in a sound model, so it is the engine
  // that is at fault, not the image: the run stops, rather than rows being written on its word.
  const top = wanted.map((k, image) => {
    const reason = misfits.get(image);
    if (reason !== undefined) return failedWith(failure("ENGINE_OOM", { reason }));
    return succeeded(topK(logits.subarray(image * classes, (image + 1) * classes), k));
  });
  const { lowered } = running;
  running.lowered = [];
  return { pixels, embeddings, logits: settings.withLogits ? logits : null, top, lowered, inferMs };
}

start().catch(postFatal);
