/**
 * Between the engine thread and its engine: runs a batch in as many model calls as the device's memory allows. Where a call
 * runs out of memory, half as many images are given, and never more from then on; an image that does not fit alone is a
 * misfit. Any other error passes through. For an engine that is bound to shapes, calls are filled up to a size that it has
 * run before. It knows no thread and no message; `engine-thread` calls it.
 */
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

/** `onLowered` is told of each halving, once. */
export function fitBatches(
  engine: Engine,
  options: { readonly limit: number; readonly imageBytes: number; readonly onLowered: (lowered: LoweredLimit) => void },
): FittedEngine {
  const { imageBytes, onLowered } = options;
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
        try {
          const output = await tryCall(pixels.subarray(done * imageBytes, (done + count) * imageBytes), count);
          if (output === null) continue;
          embeddings.set(output.embeddings.subarray(0, count * embeddingWidth), done * embeddingWidth);
          logits.set(output.logits.subarray(0, count * classes), done * classes);
        } catch (thrown) {
          if (!isOutOfMemory(thrown)) throw thrown;
          misfits.set(done, messageOf(thrown));
        }
        done += count;
      }
      return { embeddings, logits, misfits };
    },
  };
}

/** Images of zeros behind them. */
function filledUp(pixels: Uint8Array, bytes: number): Uint8Array {
  const filled = new Uint8Array(bytes);
  filled.set(pixels);
  return filled;
}
