import { z } from "zod";
import type { PartMaking } from "./part-content.js";
import type { PartCounts } from "./row.js";

/** The key in a Parquet part's footer metadata under which a `PartFooter` stands as JSON. */
export const footerKey = "labelmill";

/** What a Parquet part says about itself, beside its rows. */
export interface PartFooter {
  readonly schemaVersion: 1;
  readonly runId: string;
  readonly chunk: number;
  readonly counts: PartCounts;
  readonly making: PartMaking;
}

/** The key under which a `CompactedFooter` stands in a file that was made of parts. */
export const compactedFooterKey = "labelmill.compacted";

/** What a compacted Parquet file says about itself: of each of its parts what that said. */
export interface CompactedFooter {
  readonly schemaVersion: 1;
  readonly parts: readonly PartFooter[];
}

/** What a committed part comes to: its rows, and how many of them cost the model nothing. */
export interface CommittedCounts extends PartCounts {
  /** See `PartMaking`. 0 where the part does not say, as one of JSONL or of an earlier version. */
  readonly duplicates: number;
  /** The same. */
  readonly carried: number;
}

const count = z.int().min(0);

/** The shape of a `PartFooter`; further keys are let through. */
export const footerSchema = z.object({
  schemaVersion: z.literal(1),
  runId: z.string(),
  chunk: count,
  counts: z.object({ items: count, ok: count, failed: count, failuresByCode: z.record(z.string(), count) }),
  making: z
    .object({
      engine: z.string(),
      attempts: z.number(),
      duplicates: count.default(0),
      carried: count.default(0),
      workerVersion: z.string(),
      startedAt: z.string(),
      finishedAt: z.string(),
    })
    .catchall(z.union([z.string(), z.number()])),
}) satisfies z.ZodType<PartFooter>;

/** The shape of a `CompactedFooter`. */
export const compactedFooterSchema = z.object({
  schemaVersion: z.literal(1),
  parts: z.array(footerSchema).min(1),
}) satisfies z.ZodType<CompactedFooter>;
