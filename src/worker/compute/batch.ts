/**
 * Collects decoded images into batches and hands them to the engine, one model call at a time, while the next batch fills.
 * Knows neither sharp nor the engine thread: `child` connects it.
 *
 * A batch leaves when the engine is idle and
 *   - the batch is full, or
 *   - no further image is on its way (announced by `expect`, not yet added or dropped), or
 *   - its oldest image has waited `maxWaitMs`.
 * Pixels are copied into one ArrayBuffer a batch, which is transferred to the engine and comes back with its answer, so a
 * steady flow allocates nothing. How many exist is bounded by the parent, which limits the images inside the child.
 */

/** An image that has its place in a batch. */
export interface BatchedImage {
  readonly id: number;
  readonly width: number;
  readonly height: number;
  readonly format: string;
  /** Classes wanted. */
  readonly topK: number;
}

export interface BatcherOptions {
  readonly batchSize: number;
  readonly maxWaitMs: number;
  /** Bytes of one image's pixels. */
  readonly imageBytes: number;
  /**
   * Runs the model over the first `images.length` images of `pixels` (`[batchSize, imageBytes]`, ownership included) and
   * returns the memory. Called again only after it has settled; a rejection ends the batcher.
   */
  readonly run: (pixels: ArrayBuffer, images: readonly BatchedImage[]) => Promise<ArrayBuffer>;
  /** Told once, if `run` rejects; images that wait then are never run. */
  readonly onFailed: (thrown: unknown) => void;
}

export interface Batcher {
  /** Announces one image, which `add` or `drop` later settles. */
  expect(): void;
  /** Copies `pixels` of an announced image. */
  add(image: BatchedImage, pixels: Uint8Array): void;
  /** Takes back one announcement: that image could not be decoded. */
  drop(): void;
}

interface Batch {
  readonly buffer: ArrayBuffer;
  readonly images: BatchedImage[];
  /** `performance.now()` of the first image. */
  readonly since: number;
}

/** See the head of this file for when batches leave. */
export function createBatcher(options: BatcherOptions): Batcher {
  const shelf = createShelf(options);
  let expected = 0;
  let state: "idle" | "running" | "failed" = "idle";
  let timer: NodeJS.Timeout | undefined;

  const leaveInMs = ({ images, since }: Batch): number => {
    if (images.length === options.batchSize || expected === 0) return 0;
    return Math.max(0, since + options.maxWaitMs - performance.now());
  };

  const dispatch = (): void => {
    clearTimeout(timer);
    const next = shelf.oldest();
    if (state !== "idle" || next === undefined) return;
    const delay = leaveInMs(next);
    if (delay === 0) void runBatch(shelf.take());
    // A timer may fire a little early by the finer clock; then it is set once more.
    else timer = setTimeout(dispatch, Math.ceil(delay));
  };

  const runBatch = async ({ buffer, images }: Batch): Promise<void> => {
    state = "running";
    try {
      shelf.giveBack(await options.run(buffer, images));
    } catch (thrown) {
      state = "failed";
      options.onFailed(thrown);
      return;
    }
    state = "idle";
    dispatch();
  };

  const settleOne = (): void => {
    expected -= 1;
    dispatch();
  };

  return {
    expect() {
      expected += 1;
    },
    add(image, pixels) {
      shelf.put(image, pixels);
      settleOne();
    },
    drop: settleOne,
  };
}

/** The batches that wait, and the memory that is free for more. */
interface Shelf {
  put(image: BatchedImage, pixels: Uint8Array): void;
  oldest(): Batch | undefined;
  /** Removes the oldest; there must be one. */
  take(): Batch;
  giveBack(buffer: ArrayBuffer): void;
}

function createShelf({ batchSize, imageBytes }: Pick<BatcherOptions, "batchSize" | "imageBytes">): Shelf {
  const free: ArrayBuffer[] = [];
  /** Oldest first; only the last one may have room. */
  const waiting: Batch[] = [];
  const filling = (): Batch => {
    const last = waiting.at(-1);
    if (last !== undefined && last.images.length < batchSize) return last;
    const buffer = free.pop() ?? new ArrayBuffer(batchSize * imageBytes);
    const batch: Batch = { buffer, images: [], since: performance.now() };
    waiting.push(batch);
    return batch;
  };
  return {
    put(image, pixels) {
      const { buffer, images } = filling();
      new Uint8Array(buffer, images.length * imageBytes, imageBytes).set(pixels);
      images.push(image);
    },
    oldest: () => waiting[0],
    take: () => waiting.shift() as Batch,
    giveBack: (buffer) => void free.push(buffer),
  };
}
