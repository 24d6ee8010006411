import { openResults as open, type ReadingOptions, type Results } from "../results/open.js";
import { type CallContext, type CallOptions, resolveCall } from "./context.js";
import { storeFor } from "./open-dataset.js";

export type { Results } from "../results/open.js";

/** Which store an s3: uri is in, and what stops the reading. */
export type ResultsOptions = Pick<CallOptions, "s3Endpoint" | "s3Region" | "s3Credentials" | "signal">;

/**
 * Opens the dataset at `out`, a directory or `s3://BUCKET/PREFIX`, complete or not, to read its rows. Throws
 * `RUN_NOT_A_DATASET`, `RUN_SCHEMA`, `RUN_DATASET_CORRUPT`, `STORAGE_*`, OPTION_INVALID.
 */
export async function openResults(out: string, given: ResultsOptions = {}): Promise<Results> {
  const context = resolveCall(given);
  const { head, summary, partPaths, rows, rowAt } = await open(out, readingOptions(out, context));
  return { head, summary, partPaths, rows, rowAt };
}

/** How a call reads the dataset at `out`: an interrupt ends it at once. Throws OPTION_INVALID. */
export function readingOptions(out: string, context: CallContext): ReadingOptions & { readonly signal: AbortSignal } {
  return { store: storeFor(out, context), signal: context.signal };
}
