import type { Redis } from "../shared/redis.js";
import { reportEveryMs, reportWorker, type WorkerVerdict } from "../shared/run-workers.js";

/** What this worker has to say of the runs that it looks at: at once where that is new, else now and then. */
export interface RunReports {
  note(runId: string, refusal: WorkerVerdict): Promise<void>;
  forgetAllBut(runIds: readonly string[]): void;
}

export function createRunReports(redis: Redis, worker: string): RunReports {
  const noted = new Map<string, { readonly refusal: WorkerVerdict; readonly atMs: number }>();
  return {
    async note(runId, refusal) {
      const last = noted.get(runId);
      const nowMs = Date.now();
      if (last !== undefined && last.refusal === refusal && nowMs - last.atMs < reportEveryMs) return;
      await reportWorker(redis, runId, { worker, refusal });
      noted.set(runId, { refusal, atMs: nowMs });
    },
    forgetAllBut(runIds) {
      for (const runId of noted.keys()) if (!runIds.includes(runId)) noted.delete(runId);
    },
  };
}
