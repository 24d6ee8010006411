/** One call's answer, row-major, for `n` images. */
export interface EngineOutput {
  /** `[n, embeddingWidth]` float32: globally average-pooled features. */
  readonly embeddings: Float32Array;
  /** `[n, classes]` float32, before softmax. */
  readonly logits: Float32Array;
}

/** The port: what executes a model. Adapters are the other files of this folder; `open-engine` chooses one. */
export interface Engine {
  /** What really runs, as read back after load: `onnx/cpu`. */
  readonly name: string;
  readonly embeddingWidth: number;
  readonly classes: number;
  /** Whether it is known to run on a GPU, and not on a CPU or on a GPU in software. @default false */
  readonly isOnGpu?: boolean;
  /** Images of a call that is about the fastest on every machine; absent where that has to be measured. */
  readonly usualBatchSize?: number;
  /** Whether the first call of each batch size is so slow that small batches had better be filled up. @default false */
  readonly isShapeBound?: boolean;
  /** Runs the model on `pixels`, `[n, 224, 224, 3]` uint8 RGB. Blocks or awaits; one call at a time. */
  infer(pixels: Uint8Array, n: number): Promise<EngineOutput>;
  close(): Promise<void>;
}

/** `usualBatchSize` of engines on a CPU, whose caches larger batches overflow: see decision 0010. */
export const usualCpuBatchSize = 8;
