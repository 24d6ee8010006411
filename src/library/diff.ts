import { type Diff, type DiffSettings, diffDatasets } from "../results/diff.js";
import { resolveCall } from "./context.js";
import { type ResultsOptions, readingOptions } from "./open-results.js";

export type { Diff } from "../results/diff.js";

export type DiffOptions = ResultsOptions & Pick<DiffSettings, "onRows">;

/**
 * Compares two datasets, complete or not, item by item: labels, scores, embeddings, what is in one alone. Throws
 * `LabelmillError`: RUN_NOT_A_DATASET, RUN_SCHEMA, RUN_DATASET_CORRUPT, RUN_INTERRUPTED, STORAGE_*.
 */
export async function diffResults(outA: string, outB: string, given: DiffOptions = {}): Promise<Diff> {
  const { onRows, ...call } = given;
  const context = resolveCall(call);
  try {
    return await diffDatasets(outA, outB, {
      signal: context.signal,
      reading: (out) => readingOptions(out, context),
      onRows,
    });
  } finally {
    context.release();
  }
}
