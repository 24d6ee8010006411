/**
 * The queued job: a reference to a chunk of a run's pinned list, never the items themselves. 737 bytes in Redis against
 * 33 kB inline, so 100 M items take 0.3 GB and the producer may exit.
 */
import { z } from "zod";
import { LabelmillError } from "./errors.js";

export const jobVersion = 1;
/** One BullMQ queue a run, under the run's own prefix; this is its name. */
export const queueName = "chunks";

const chunkRefSchema = z.strictObject({
  v: z.literal(jobVersion),
  run: z.string().min(1).max(64),
  chunk: z.number().int().nonnegative(),
  segment: z.number().int().nonnegative(),
  /** Digest of the segment file that holds the chunk. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type ChunkRef = Readonly<z.infer<typeof chunkRefSchema>>;

/** Prefix of every key of a run. The braces make it one Redis Cluster slot, so that scripts may touch all of it. */
export function runPrefix(runId: string): string {
  return `{labelmill:${runId}}`;
}

/** Deduplicates a chunk's job while it is queued. BullMQ refuses ids of digits only, and ids with a colon. */
export function chunkJobId(chunk: number): string {
  return `chunk-${chunk}`;
}

/** Checks a job's data as it came from Redis. Throws RUN_JOB_INVALID. */
export function parseChunkRef(runId: string, jobId: string, data: unknown): ChunkRef {
  const parsed = chunkRefSchema.safeParse(data);
  const reason = parsed.success
    ? parsed.data.run === runId
      ? null
      : `it names run ${parsed.data.run}`
    : parsed.error.issues.map((issue) => `${issue.path.join(".") || "data"}: ${issue.message}`).join("; ");
  if (parsed.success && reason === null) return parsed.data;
  throw new LabelmillError("RUN_JOB_INVALID", { job: jobId, run: runId, runId, reason: reason ?? "" });
}
