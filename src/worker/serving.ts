import type { ChunkRef } from "../shared/job.js";
import type { RunQueue } from "./run-queue.js";

/** One worker's turn at a chunk. */
export interface ChunkTurn {
  /** Ranks the chunks of this process: those of the highest priority first, then the oldest. */
  readonly order: number;
  /** How many workers have taken the chunk, this one included. */
  readonly attempt: number;
  /** Aborts when the lock is lost, or the chunk is to go back. */
  readonly signal: AbortSignal;
  /** Calls `action` until it does not fail with trouble that may pass; rejects with `signal.reason` when aborted. */
  outlast<T>(action: () => Promise<T>): Promise<T>;
}

/** A run that this worker serves. */
export interface ServedRun {
  readonly runId: string;
  readonly queue: RunQueue;
  /** Most items of one chunk: what a chunk counts for where runs share a worker. */
  readonly chunkItems: number;
  /** As of now. */
  priority(): number;
  /**
   * Makes the chunk's part, or finds it (`isFound`), and counts it. Rejects with `signal.reason` when aborted, else for
   * infrastructure only.
   */
  serve(chunk: ChunkRef, turn: ChunkTurn): Promise<{ readonly isFound: boolean }>;
  /** Told of an error of `serve`: true where it concerns this run alone, which is then left for a while. */
  leave(error: unknown): boolean;
  /** Called once no chunk of the run is in hand any more. */
  close(): Promise<void>;
}
