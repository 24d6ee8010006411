import { z } from "zod";
import { summaryPath } from "./layout.js";
import { createRecord, readRecord } from "./record-file.js";
import type { Storage } from "./storage/storage.js";

/** What a finished run came to; also the one JSON object that `--json` prints. */
export interface Summary {
  readonly runId: string;
  readonly status: "completed";
  readonly items: number;
  readonly ok: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
  /**
   * Rows that are ok without the model's work, which was done once for the same bytes: `duplicates / ok` is the share
   * saved. 0 where another version wrote it.
   */
  readonly duplicates: number;
  /** Rows that were carried over from another dataset (`--against`), and cost no fetch or no model's work. */
  readonly carried: number;
  /** From the making of the run's record to the last part's count: includes loading the model, and no time that it was paused. */
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** What really ran, for example `onnx/cpu`. */
  readonly engines: readonly string[];
  /** By engine: what was asked for, or what `auto` found. */
  readonly whyEngines: Readonly<Record<string, string>>;
  readonly precision: string;
  readonly model: string;
  readonly modelSha256: string;
  /** The stage that limited the speed (`fetch`, `decode` or `inference`), or null where none was measured. */
  readonly boundBy: string | null;
  /** By stage, how much it did of what it could have done while workers had chunks in hand, from 0 to 1; empty where another version wrote it. */
  readonly stageShares: Readonly<Record<string, number>>;
  /** Where the dataset lay when it was completed. */
  readonly out: string;
}

const count = z.int().min(0);

const summarySchema = z.object({
  runId: z.string(),
  status: z.literal("completed"),
  items: count,
  ok: count,
  failed: count,
  failuresByCode: z.record(z.string(), count),
  duplicates: count.default(0),
  carried: count.default(0),
  seconds: z.number(),
  imagesPerSecond: z.number(),
  engines: z.array(z.string()),
  whyEngines: z.record(z.string(), z.string()),
  precision: z.string(),
  model: z.string(),
  modelSha256: z.string(),
  boundBy: z.string().nullable(),
  stageShares: z.record(z.string(), z.number().min(0).max(1)).default({}),
  out: z.string(),
}) satisfies z.ZodType<Summary>;

/** Completes the dataset with `summary`; if it is complete already, returns the summary that it has. */
export function writeSummary(storage: Storage, summary: Summary): Promise<Summary> {
  return createRecord(storage, summaryPath, summarySchema, summary);
}

/** The summary, or null while the run is not complete. Throws `RUN_DATASET_CORRUPT`. */
export function readSummary(storage: Storage, path = summaryPath): Promise<Summary | null> {
  return readRecord(storage, path, summarySchema);
}
