/**
 * Between the engine thread and its engine: runs a batch in as many model calls as the device's memory allows. Where a call
 * runs out of memory, half as many images are given, and never more from then on. An image that does not fit alone is tried
 * again after rests, as all are of one size and something else may hold the memory; it is a misfit only if an image known to
 * be good fits after that. Any other error passes through. For an engine that is bound to shapes, calls are filled up to a size that it has
 * run before. It knows no thread and no message; `engine-thread` calls it.
 */
import { setTimeout as rest } from "node:timers/promises";
import { messageOf } from "../../shared/errors.js";
import type { Engine, EngineOutput } from "../model/engines/engine.js";
import { isOutOfMemory } from "../model/out-of-memory.js";

/** A halving. */
export interface LoweredLimit {
  /** Most images of a call from then on. */
  readonly limit: number;
  /** What the engine said. */
  readonly reason: string;
}

/** As of the engine; rows of misfits are zero. */
export interface FittedOutput extends EngineOutput {
  /** Why an image does not fit alone, by its place in the batch. */
  readonly misfits: ReadonlyMap<number, string>;
}

export interface FittedEngine {
  /** Most images of a call. */
  readonly limit: number;
  /** As in the port `Engine`. */
  readonly isShapeBound: boolean;
  /** `pixels` are as in the port `Engine`; one call at a time. */
  infer(pixels: Uint8Array, n: number): Promise<FittedOutput>;
  /** Makes further calls take `size` images at most. */
  lower(size: number): void;
}

export interface FitOptions {
  /** Most images of a call, at first. */
  readonly limit: number;
  readonly imageBytes: number;
  /** Told of each halving, once. */
  readonly onLowered: (lowered: LoweredLimit) => void;
  /** Before each further try of an image that does not fit alone. @default [250, 1000, 4000] */
  readonly restsMs?: readonly number[];
}

/** Well below the silence that the client allows. */
const defaultRestsMs: readonly number[] = [250, 1_000, 4_000];

/** `infer` throws what the engine throws, and for want of memory only where not even an image of zeros fits. */
export function fitBatches(engine: Engine, options: FitOptions): FittedEngine {
  const { imageBytes, onLowered, restsMs = defaultRestsMs } = options;
  const { isShapeBound = false } = engine;
  let { limit } = options;
  /** Sizes that the engine has run, as far as they may be given again. */
  let warmed: number[] = [];

  /** Of one call, or null where it did not fit and the limit was lowered. Throws where one image does not fit. */
  const tryCall = async (pixels: Uint8Array, n: number): Promise<EngineOutput | null> => {
    const size = isShapeBound ? (warmed.find((each) => each >= n) ?? n) : n;
    try {
      const output = await engine.infer(size === n ? pixels : filledUp(pixels, size * imageBytes), size);
      if (!warmed.includes(size)) warmed = [...warmed, size].sort((a, b) => a - b);
      return output;
    } catch (thrown) {
      if (size === 1 || !isOutOfMemory(thrown)) throw thrown;
      // What was warmed with more memory to itself may not fit any more.
      limit = Math.ceil(Math.min(limit, size) / 2);
      warmed = warmed.filter((each) => each <= limit);
      onLowered({ limit, reason: messageOf(thrown) });
      return null;
    }
  };

  return {
    isShapeBound,
    get limit() {
      return limit;
    },
    lower(size) {
      limit = Math.min(limit, size);
      warmed = warmed.filter((each) => each <= limit);
    },
    async infer(pixels, n) {
      const { embeddingWidth, classes } = engine;
      const embeddings = new Float32Array(n * embeddingWidth);
      const logits = new Float32Array(n * classes);
      const misfits = new Map<number, string>();
      for (let done = 0; done < n; ) {
        const count = Math.min(limit, n - done);
        const given = pixels.subarray(done * imageBytes, (done + count) * imageBytes);
        const output = await tryCall(given, count).catch((thrown: unknown) => {
          if (isOutOfMemory(thrown)) return tryAgain(engine, given, restsMs);
          throw thrown;
        });
        if (output === null) continue;
        if (typeof output === "string") misfits.set(done, output);
        else {
          embeddings.set(output.embeddings.subarray(0, count * embeddingWidth), done * embeddingWidth);
          logits.set(output.logits.subarray(0, count * classes), done * classes);
        }
        done += count;
      }
      return { embeddings, logits, misfits };
    },
  };
}

/** Of one image that did not fit, or why it is a misfit. Throws where an image of zeros does not fit either. */
async function tryAgain(
  engine: Engine,
  pixels: Uint8Array,
  restsMs: readonly number[],
): Promise<EngineOutput | string> {
  let reason = "";
  for (const restMs of restsMs) {
    await rest(restMs);
    try {
      return await engine.infer(pixels, 1);
    } catch (thrown) {
      if (!isOutOfMemory(thrown)) throw thrown;
      reason = messageOf(thrown);
    }
  }
  await engine.infer(new Uint8Array(pixels.length), 1);
  return reason;
}

/** Images of zeros behind them. */
function filledUp(pixels: Uint8Array, bytes: number): Uint8Array {
  const filled = new Uint8Array(bytes);
  filled.set(pixels);
  return filled;
}
