import { queueName, runPrefix } from "./job.js";

const recordParts = ["run", "done", "failures", "engines", "workers"] as const;
/** The fixed keys of a queue of BullMQ 6.7 (its `QueueKeys`); the jobs have others. `meta` first: scripts pause by it. */
const queueParts = [
  "meta",
  "wait",
  "active",
  "delayed",
  "prioritized",
  "completed",
  "failed",
  "stalled",
  "stalled-check",
  "limiter",
  "id",
  "pc",
  "marker",
  "events",
] as const;

/** The key of one part of a run's record: its fields, the bitmap of counted chunks, counts by code, reasons by engine, workers. */
export function recordKey(runId: string, part: (typeof recordParts)[number]): string {
  return `${runPrefix(runId)}:${part}`;
}

/**
 * Every key of a run but its jobs', all of one slot: five of the record, `run` first and `workers` fifth, then the queue's,
 * `meta` sixth.
 */
export function allRunKeys(runId: string): string[] {
  return [
    ...recordParts.map((part) => recordKey(runId, part)),
    ...queueParts.map((part) => `${runPrefix(runId)}:${queueName}:${part}`),
  ];
}
