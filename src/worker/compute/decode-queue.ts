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

/** Decodes images in order of arrival, a fixed number at once, and says which of them take too long. */
export function createDecodeQueue(options: DecodeQueueOptions): DecodeQueue {
  const waiting: { readonly id: number; readonly bytes: Uint8Array }[] = [];
  let active = 0;

  const decodeOne = async (id: number, bytes: Uint8Array): Promise<void> => {
    const deadline = startDeadline(options.itemTimeoutMs, () => options.onOverdue(id));
    const started = performance.now();
    const outcome = await options.decoder.decode(bytes);
    deadline.cancel();
    active -= 1;
    startWaiting();
    options.onDone(id, outcome, performance.now() - started);
  };

  const startWaiting = (): void => {
    while (active < options.concurrency) {
      const next = waiting.shift();
      if (next === undefined) return;
      active += 1;
      void decodeOne(next.id, next.bytes);
    }
  };

  return {
    push(id, bytes) {
      waiting.push({ id, bytes });
      startWaiting();
    },
  };
}
