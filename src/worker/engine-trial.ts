import { LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { ComputeSettings, Prediction } from "./compute/protocol.js";
import type { ComputeClient } from "./compute-client/client.js";
import { startCompute } from "./compute-client/start.js";
import type { ImageOutput } from "./model/agreement.js";

/** What one engine said of some images, and how fast. */
export interface EngineTrial {
  /** What really ran: `onnx/cpu`. */
  readonly engine: string;
  /** Whether it is known to have run on a GPU. */
  readonly isOnGpu: boolean;
  readonly why: string;
  /** Until it had run once. */
  readonly loadMs: number;
  /** Images of a full batch. */
  readonly batchSize: number;
  /** Of the model alone, in full batches, nothing else at work. */
  readonly imagesPerSecond: number;
  /** One an image, in order; null where the image cannot be decoded. */
  readonly outputs: readonly (TrialOutput | null)[];
}

/** An engine's answer, with the class that it puts first. */
export interface TrialOutput extends ImageOutput {
  readonly topIndex: number;
  readonly topScore: number;
}

/** The speed is measured over this much time in the model at least. */
const shortestMeasureMs = 1_500;
/** So long that only full batches leave. */
const batchWaitMs = 60_000;

/**
 * Runs `images` (encoded bytes; one at least) through one engine in a compute child of its own, which has ended when this
 * resolves. A batch is decoded before it is run, so that decoding does not slow the model down. Throws MODEL_*, ENGINE_*, and
 * RUN_INTERRUPTED where `signal` aborts.
 */
export async function tryEngine(
  images: readonly Uint8Array[],
  settings: ComputeSettings,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<EngineTrial> {
  signal.throwIfAborted();
  const compute = await startCompute({ ...settings, withLogits: true, maxWaitMs: batchWaitMs }, { log, signal });
  try {
    const batches = splitIntoBatches(images, compute.report.batchSize);
    const outputs = await predictBatch(compute, batches[0] ?? []);
    // The first batch is slower: memory is allocated.
    const warm = compute.times();
    for (const batch of batches.slice(1)) outputs.push(...(await predictBatch(compute, batch)));
    if (outputs.some((output) => output !== null)) await measureLonger(compute, batches, warm.inferMs);
    const { images: done, inferMs } = compute.times();
    const imagesPerSecond = ((done - warm.images) / (inferMs - warm.inferMs)) * 1000;
    const { engine, isOnGpu, why, loadMs, batchSize } = compute.report;
    return { engine, isOnGpu, why, loadMs, batchSize, imagesPerSecond, outputs };
  } finally {
    await compute.close();
  }
}

async function measureLonger(
  compute: ComputeClient,
  batches: readonly (readonly Uint8Array[])[],
  sinceMs: number,
): Promise<void> {
  for (let next = 0; compute.times().inferMs - sinceMs < shortestMeasureMs; next += 1) {
    await predictBatch(compute, batches[next % batches.length] ?? []);
  }
}

function predictBatch(compute: ComputeClient, batch: readonly Uint8Array[]): Promise<(TrialOutput | null)[]> {
  return Promise.all(
    batch.map(async (bytes) => {
      const outcome = await compute.predict(bytes, 1);
      if (outcome.ok) return outputOf(outcome.value);
      const { code, message } = outcome.failure;
      if (code.startsWith("DECODE_") || code === "LIMIT_PIXELS") return null;
      throw new LabelmillError("ENGINE_FAILED", { reason: message });
    }),
  );
}

function outputOf({ embedding, logits, topIndices, topScores }: Prediction): TrialOutput {
  if (logits === undefined) throw new LabelmillError("ENGINE_FAILED", { reason: "it gave no logits" });
  return { embedding, logits, topIndex: topIndices[0] ?? -1, topScore: topScores[0] ?? 0 };
}

/** In order; the last one may be smaller. */
function splitIntoBatches(images: readonly Uint8Array[], batchSize: number): (readonly Uint8Array[])[] {
  const count = Math.ceil(images.length / batchSize);
  return Array.from({ length: count }, (_, i) => images.slice(i * batchSize, (i + 1) * batchSize));
}
