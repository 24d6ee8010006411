import { openResults as open, type Results } from "../results/open.js";

export type { Results } from "../results/open.js";

/**
 * Opens the dataset in the directory `out`, complete or not, to read its rows. Throws `RUN_NOT_A_DATASET`, `RUN_SCHEMA`,
 * `RUN_DATASET_CORRUPT`, `STORAGE_*`.
 */
export async function openResults(out: string): Promise<Results> {
  const { head, summary, partPaths, rows, rowAt } = await open(out);
  return { head, summary, partPaths, rows, rowAt };
}
