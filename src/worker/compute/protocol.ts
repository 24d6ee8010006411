/**
 * What the consumer and its compute child say to each other over the child's IPC channel (structured clone, so byte
 * arrays cross as copies). The child never learns a uri, a run or a secret: it gets numbered bytes, it gives numbered
 * predictions.
 */
import type { BatchSizeRequest } from "../../shared/batch-size.js";
import type { EngineName, EngineRequest } from "../../shared/engine-names.js";
import type { RunErrorCode } from "../../shared/errors.js";
import type { Precision } from "../../shared/precision.js";
import { inputSize } from "../model/preprocess.js";
import type { Outcome } from "../outcome.js";
import type { LoweredLimit } from "./fit-batches.js";

/** How the child is to work; sent once, first. */
export interface ComputeSettings {
  /** Directory of the imported model in the cache; see `model/store`. */
  readonly modelDir: string;
  /** Expected digest; loading anything else is refused. */
  readonly modelSha256: string;
  readonly engine: EngineRequest;
  readonly precision: Precision;
  /** File of the ranges of an int8 precision. */
  readonly calibration: string | null;
  /**
   * Whether the child measures instead of predicting: embeddings are then those of `model/int8/observed-graph`, and the
   * report has `golden`. The engine must be `onnx` and the precision fp32.
   */
  readonly observe: boolean;
  /** Most images in one model call; the report has the number that `auto` found. */
  readonly batchSize: BatchSizeRequest;
  /** Longest time that a decoded image waits for its batch to fill, in milliseconds. */
  readonly maxWaitMs: number;
  /** Images decoded at once; also sizes the child's thread pool. */
  readonly decodeConcurrency: number;
  /** Threads of one model call. */
  readonly engineThreads: number;
  /** Longest time one decode may take, in milliseconds, before the child reports it as overdue. */
  readonly itemTimeoutMs: number;
  readonly maxPixels: number;
  /** Whether predictions carry their logits, which comparing engines needs and rows do not. */
  readonly withLogits: boolean;
  /** All of its environment that the child gets: what tells GPU drivers where they are and which device to take. */
  readonly driverEnv: Readonly<Record<string, string>>;
}

/** What the model says of one image. */
export interface Prediction {
  /** Size as displayed (after EXIF orientation), in pixels. */
  readonly width: number;
  readonly height: number;
  /** Container or codec as sniffed from the bytes: `jpeg`, `png`, `webp`, `gif`, `tiff`, `avif`, … */
  readonly format: string;
  /** Class indices of the `topK` largest probabilities, best first; equal scores by index. */
  readonly topIndices: readonly number[];
  /** Softmax probabilities, same order, 0 to 1. */
  readonly topScores: readonly number[];
  /** Pooled features, float32, as long as the model is wide (2,048 for ResNet-50). */
  readonly embedding: Float32Array;
  /** One a class, before softmax; only where the settings ask for them. */
  readonly logits?: Float32Array;
}

/** Where the child's time went since its last report. Decodes run side by side, so `decodeMs` may exceed the time passed. */
export interface StageTimes {
  readonly decodeMs: number;
  readonly inferMs: number;
  readonly batches: number;
  readonly images: number;
}

/** What runs inside the child, as checked after load (never as merely asked for). */
export interface EngineReport {
  /** For example `onnx/cpu`. */
  readonly engine: string;
  /** What to ask for to get the same again. */
  readonly chosen: EngineName;
  /** Whether it is known to run on a GPU. */
  readonly isOnGpu: boolean;
  /** Why this engine: what was asked for, or what `auto` found. */
  readonly why: string;
  readonly embeddingWidth: number;
  /** Until it had run once. */
  readonly loadMs: number;
  /** Of one image alone, in milliseconds, as measured at the start. */
  readonly imageMs: number;
  /** Most images in one model call. */
  readonly batchSize: number;
  /** What was asked for, or what was measured. */
  readonly whyBatchSize: string;
  /** Where the child measures: what the calibration is to hold. */
  readonly golden?: readonly Float32Array[];
}

export type ToChild =
  | { readonly type: "start"; readonly settings: ComputeSettings }
  | {
      readonly type: "image";
      readonly id: number;
      readonly bytes: Uint8Array;
      /** Classes wanted of this image; runs differ. */
      readonly topK: number;
    };

export type FromChild =
  | { readonly type: "ready"; readonly report: EngineReport }
  | { readonly type: "results"; readonly results: readonly ImageResult[]; readonly times: StageTimes }
  /** The decode of `id` is over its time; the parent kills the child. */
  | { readonly type: "overdue"; readonly id: number }
  /** The device ran out of memory; nothing is lost. */
  | ({ readonly type: "lowered" } & LoweredLimit)
  /** The child cannot work at all; it exits after this. The message is whole, its template already filled. */
  | { readonly type: "fatal"; readonly code: RunErrorCode; readonly message: string };

export interface ImageResult {
  readonly id: number;
  readonly outcome: Outcome<Prediction>;
}

/** A decoded image, ready for a batch. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  readonly format: string;
  /** `[height, width, 3]` uint8, RGB, of the model's input size. */
  readonly pixels: Uint8Array;
}

/** Bytes of one image as the engines take it: rows and columns of `inputSize`, RGB; see the `Engine` port. */
export const inputBytes = inputSize * inputSize * 3;
