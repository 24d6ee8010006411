/**
 * Decodes images in order of arrival, a fixed number at once, and says which of them take too long.
 *
 *     waiting ──> decoding beside others ── decoded ──> done
 *                          └── failed ──> waiting to be alone ──> decoding alone ──> done, with what this second one says
 *
 * libvips keeps one error text for the whole process: decodes that fail side by side mix or lose their texts, from which
 * the code of a row is read. A row must not depend on its neighbours, so a failure is stated by a decode that runs alone.
 * Called by `child`.
 */
import type { Outcome } from "../outcome.js";
import { startDeadline } from "./deadline.js";
import type { Decoder } from "./decode.js";
import type { DecodedImage } from "./protocol.js";

export interface DecodeQueueOptions {
  readonly decoder: Decoder;
  /** Decodes at once. */
  readonly concurrency: number;
  /** Longest time that one decode may take from its start, in milliseconds. */
  readonly itemTimeoutMs: number;
  readonly onDone: (id: number, outcome: Outcome<DecodedImage>, decodeMs: number) => void;
  /** The decode of `id` is over its time. It cannot be stopped from here, so it also keeps its place in the queue. */
  readonly onOverdue: (id: number) => void;
}

export interface DecodeQueue {
  /** Takes an image in; it is decoded in order of arrival. */
  push(id: number, bytes: Uint8Array): void;
}

/** See the head of this file for the way of an image. */
export function createDecodeQueue(options: DecodeQueueOptions): DecodeQueue {
  const waiting: QueuedImage[] = [];
  /** Failed beside others, and not decoded alone yet. */
  const doubtful: QueuedImage[] = [];
  let active = 0;
  let isAlone = false;

  const decode = async (image: QueuedImage): Promise<Outcome<DecodedImage>> => {
    const deadline = startDeadline(options.itemTimeoutMs, () => options.onOverdue(image.id));
    const started = performance.now();
    const outcome = await options.decoder.decode(image.bytes);
    deadline.cancel();
    image.decodeMs += performance.now() - started;
    return outcome;
  };

  const start = async (image: QueuedImage, alone: boolean): Promise<void> => {
    active += 1;
    isAlone = alone;
    const outcome = await decode(image);
    active -= 1;
    isAlone = false;
    const isDoubtful = !outcome.ok && !alone;
    if (isDoubtful) doubtful.push(image);
    startWaiting();
    if (!isDoubtful) options.onDone(image.id, outcome, image.decodeMs);
  };

  const startWaiting = (): void => {
    if (isAlone) return;
    if (doubtful.length > 0) {
      // Nothing new starts until those at work have ended.
      const next = active === 0 ? doubtful.shift() : undefined;
      if (next !== undefined) void start(next, true);
      return;
    }
    while (active < options.concurrency) {
      const next = waiting.shift();
      if (next === undefined) return;
      void start(next, false);
    }
  };

  return {
    push(id, bytes) {
      waiting.push({ id, bytes, decodeMs: 0 });
      startWaiting();
    },
  };
}

interface QueuedImage {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Spent so far. */
  decodeMs: number;
}
