/**
 * Entry of the compute child, the process that touches untrusted bytes and native code. Forked by `compute-client` with an
 * IPC channel, no environment and no secrets; it opens no connection and writes no file. Its main thread decodes and talks,
 * its engine thread infers. It has no state worth saving: it ends by being killed, at the latest when its parent is gone.
 */
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { modelOf } from "../model/manifest.js";
import { readManifest } from "../model/store.js";
import { succeeded } from "../outcome.js";
import { type BatchedImage, createBatcher } from "./batch.js";
import { type Decoder, openDecoder } from "./decode.js";
import { createDecodeQueue } from "./decode-queue.js";
import { type BatchOutput, type EngineThread, startEngineThread } from "./engine-client.js";
import {
  type ComputeSettings,
  type FromChild,
  type ImageResult,
  inputBytes,
  type Prediction,
  type ToChild,
} from "./protocol.js";
import { createTally } from "./tally.js";

/** The channel closes when the parent ends, however it ends. Not `exit`, which waits for a model call to return. */
process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("uncaughtException", sayFatal);
process.once("message", (message: ToChild) => {
  if (message.type !== "start") throw new Error(`Expected the first message to be start, got ${message.type}`);
  start(message.settings).catch(sayFatal);
});

function send(message: FromChild): void {
  // False only says that the channel's buffer is long; a closed channel ends this process anyway.
  process.send?.(message);
}

function sayFatal(thrown: unknown): void {
  const known = thrown instanceof LabelmillError;
  const error = known ? thrown : new LabelmillError("ENGINE_FAILED", { reason: messageOf(thrown) });
  const message: FromChild = { type: "fatal", code: error.code, message: messageOf(error) };
  process.send?.(message, () => process.kill(process.pid, "SIGKILL"));
}

async function start(settings: ComputeSettings): Promise<void> {
  const { preprocess } = modelOf(await readManifest(settings.modelDir));
  const decoder = openDecoder({ preprocess, maxPixels: settings.maxPixels });
  const engine = await startEngineThread(settings);
  const accept = connect(settings, decoder, engine);
  process.on("message", (message: ToChild) => {
    if (message.type !== "image") throw new Error(`Expected a message of type image, got ${message.type}`);
    accept(message);
  });
  send({ type: "ready", report: engine.report });
}

/** The way of one image through this process: decode queue, batch, engine, results. Returns its entrance. */
function connect(settings: ComputeSettings, decoder: Decoder, engine: EngineThread): (image: ImageMessage) => void {
  const topKOf = new Map<number, number>();
  const tally = createTally();
  const sendResults = (results: readonly ImageResult[]): void =>
    send({ type: "results", results, times: tally.take() });
  const batcher = createBatcher({
    batchSize: engine.report.batchSize,
    maxWaitMs: settings.maxWaitMs,
    imageBytes: inputBytes,
    run: async (pixels, images) => {
      const output = await engine.infer({ pixels, topK: images.map((image) => image.topK) });
      tally.addBatch(output.inferMs, images.length);
      for (const lowered of output.lowered) send({ type: "lowered", ...lowered });
      sendResults(images.map((image, index) => toResult(image, index, output, engine.report.embeddingWidth)));
      return output.pixels;
    },
    onFailed: sayFatal,
  });
  const queue = createDecodeQueue({
    decoder,
    concurrency: settings.decodeConcurrency,
    itemTimeoutMs: settings.itemTimeoutMs,
    onDone: (id, outcome, decodeMs) => {
      tally.addDecode(decodeMs);
      const topK = topKOf.get(id) ?? 1;
      topKOf.delete(id);
      if (outcome.ok) {
        const { pixels, ...described } = outcome.value;
        batcher.add({ id, topK, ...described }, pixels);
      } else {
        batcher.drop();
        sendResults([{ id, outcome }]);
      }
    },
    onOverdue: (id) => send({ type: "overdue", id }),
  });
  return ({ id, bytes, topK }) => {
    topKOf.set(id, topK);
    batcher.expect();
    queue.push(id, bytes);
  };
}

type ImageMessage = Extract<ToChild, { type: "image" }>;

function toResult(image: BatchedImage, index: number, output: BatchOutput, embeddingWidth: number): ImageResult {
  const { id, width, height, format } = image;
  const top = output.top[index] as BatchOutput["top"][number];
  if (!top.ok) return { id, outcome: top };
  const { indices: topIndices, scores: topScores } = top.value;
  const embedding = output.embeddings.subarray(index * embeddingWidth, (index + 1) * embeddingWidth);
  const logits = logitsOf(output, index);
  return { id, outcome: succeeded({ width, height, format, topIndices, topScores, embedding, ...logits }) };
}

/** Absent rather than empty where they were not asked for, so that they do not cross to the parent. */
function logitsOf({ logits, top }: BatchOutput, index: number): Pick<Prediction, "logits"> {
  if (logits === null) return {};
  const classes = logits.length / top.length;
  return { logits: logits.slice(index * classes, (index + 1) * classes) };
}
