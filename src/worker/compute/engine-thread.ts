/**
 * Entry of the engine thread: opens the model, runs batches one at a time, picks the top classes, gives all memory back.
 * Started by `engine-client` with `workerData`; ends with its process.
 */
import { parentPort, workerData } from "node:worker_threads";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { chooseEngine } from "../model/engine-choice.js";
import type { Engine } from "../model/engines/engine.js";
import { openEngine, probesFor } from "../model/engines/open-engine.js";
import { openObservingEngine } from "../model/engines/open-int8.js";
import { probesForModel } from "../model/onnx-file/only-engine.js";
import { topK } from "../model/top-k.js";
import type { BatchInput, BatchOutput, EngineThreadSettings, FromEngineThread } from "./engine-client.js";
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

async function start(): Promise<void> {
  const started = performance.now();
  const probes = await probesForModel(settings.modelDir, probesFor(settings.precision));
  const choice = await chooseEngine(settings.engine, probes);
  const { engine, golden } = settings.observe
    ? await openObservingEngine(settings)
    : { engine: await openEngine({ ...settings, engine: choice.engine }), golden: [] };
  // One image that is known to be good: what fails later fails on the strength of a working engine.
  await runBatch(engine, { pixels: new ArrayBuffer(inputBytes), topK: [1] });
  const { name, embeddingWidth } = engine;
  parentPort?.on("message", (input: BatchInput) => void answer(engine, input));
  post({
    type: "ready",
    report: { engine: name, why: choice.why, embeddingWidth, loadMs: performance.now() - started, golden },
  });
}

async function answer(engine: Engine, input: BatchInput): Promise<void> {
  try {
    const output = await runBatch(engine, input);
    post({ type: "output", output }, [output.pixels, output.embeddings.buffer as ArrayBuffer]);
  } catch (thrown) {
    postFatal(thrown);
  }
}

async function runBatch(engine: Engine, { pixels, topK: wanted }: BatchInput): Promise<BatchOutput> {
  const n = wanted.length;
  const started = performance.now();
  const { embeddings, logits } = await engine.infer(new Uint8Array(pixels, 0, n * inputBytes), n);
  const inferMs = performance.now() - started;
  // Throws for scores that are not finite. No pixels of 0 to 255 can cause that in a sound model, so it is the engine
  // that is at fault, not the image: the run stops, rather than rows being written on its word.
  const top = wanted.map((k, image) => topK(logits.subarray(image * engine.classes, (image + 1) * engine.classes), k));
  // The engine may own the memory of its outputs, which then cannot be transferred.
  return { pixels, embeddings: embeddings.slice(), logits: settings.withLogits ? logits.slice() : null, top, inferMs };
}

start().catch(postFatal);
