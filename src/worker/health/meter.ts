/**
 * What a worker counts of itself, for `/metrics`, and when it last made a step, for `/livez`. Plain numbers, kept whether or not
 * anybody asks. The consumer, the served runs and the lock keepers tell it what they did; it calls nobody back and decides
 * nothing. Made by whoever starts the worker, read by `worker-figures` and `checks`.
 */

/** How a chunk left the worker's hands. */
export type ChunkOutcome = "done" | "found" | "given_back" | "lost" | "refused";

/** The stages whose time is counted here; the compute client counts its own. */
export type MeteredStage = "fetch" | "commit";

export interface WorkerMeter {
  readonly counts: WorkerCounts;
  /** Looked for a chunk, and got an answer: the step of a worker that has nothing to do. */
  looked(): void;
  tookChunk(): void;
  leftChunk(outcome: ChunkOutcome): void;
  /** An item was fetched, or its row made. */
  stepped(): void;
  /** A part was made and committed. */
  committed(counts: CommittedRows): void;
  /** Work of that stage begins; call what it returns when it ends. */
  begin(stage: MeteredStage): () => void;
  lockNotRenewed(): void;
}

export interface CommittedRows {
  readonly ok: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
}

export interface WorkerCounts {
  readonly chunksInHand: number;
  readonly chunks: Readonly<Record<ChunkOutcome, number>>;
  readonly ok: number;
  readonly failures: ReadonlyMap<string, number>;
  readonly stageMs: Readonly<Record<MeteredStage, number>>;
  readonly lockFailures: number;
  /** When the last step was made, by `performance.now`. */
  readonly stepAtMs: number;
}

export function createWorkerMeter(): WorkerMeter {
  const failures = new Map<string, number>();
  const counts = {
    chunksInHand: 0,
    chunks: { done: 0, found: 0, given_back: 0, lost: 0, refused: 0 },
    ok: 0,
    failures,
    stageMs: { fetch: 0, commit: 0 },
    lockFailures: 0,
    stepAtMs: performance.now(),
  };
  const stepped = () => {
    counts.stepAtMs = performance.now();
  };
  return {
    counts,
    looked() {
      // With chunks in hand, looking for more is no step: it goes on where their work is stuck.
      if (counts.chunksInHand === 0) stepped();
    },
    tookChunk() {
      counts.chunksInHand += 1;
      stepped();
    },
    leftChunk(outcome) {
      counts.chunksInHand -= 1;
      counts.chunks[outcome] += 1;
      stepped();
    },
    stepped,
    committed({ ok, failuresByCode }) {
      counts.ok += ok;
      for (const [code, n] of Object.entries(failuresByCode)) failures.set(code, (failures.get(code) ?? 0) + n);
    },
    begin(stage) {
      const startedMs = performance.now();
      return () => {
        counts.stageMs[stage] += performance.now() - startedMs;
      };
    },
    lockNotRenewed() {
      counts.lockFailures += 1;
    },
  };
}
