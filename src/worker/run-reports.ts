import type { Redis } from "../shared/redis.js";
import { reportEveryMs, reportWorker, type WorkerVerdict } from "../shared/run-workers.js";

/** What this worker has to say of the runs that it looks at: at once where that is new, else now and then. */
export interface RunReports {
  /** `verdictOf` is undefined for a run of which there is nothing to say. */
  note(runIds: readonly string[], verdictOf: (runId: string) => WorkerVerdict | undefined): Promise<void>;
}

export function createRunReports(redis: Redis, worker: string): RunReports {
  const noted = new Map<string, { readonly refusal: WorkerVerdict; readonly atMs: number }>();
  return {
    async note(runIds, verdictOf) {
      for (const runId of noted.keys()) if (!runIds.includes(runId)) noted.delete(runId);
      const nowMs = performance.now();
      for (const runId of runIds) {
        const refusal = verdictOf(runId);
        const last = noted.get(runId);
        const isNew = last === undefined || last.refusal !== refusal || nowMs - last.atMs >= reportEveryMs;
        if (refusal === undefined || !isNew) continue;
        await reportWorker(redis, runId, { worker, refusal });
        noted.set(runId, { refusal, atMs: nowMs });
      }
    },
  };
}
