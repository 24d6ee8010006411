import { commitPart } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import { createRunHead, type RunIdentity } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { failedRow, okRow, sampleDraft, sampleIdentity } from "../dataset/samples.js";

/** Writes a dataset of two parts, committed in the wrong order; returns the run's id. */
export async function writeDataset(directory: string, format: "parquet" | "jsonl"): Promise<string> {
  const storage = openStorage(directory);
  const { head } = await createRunHead(storage, { ...sampleIdentity, format });
  const own = { run_id: head.runId };
  const second = [okRow(4), failedRow(5, "FETCH_NOT_FOUND")].map((row) => ({ ...row, ...own }));
  const first = [okRow(0), okRow(1), failedRow(2), okRow(3)].map((row) => ({ ...row, ...own, score: 0.5 }));
  for (const rows of [second, first]) await commitPart(storage, { ...sampleDraft(rows), head });
  return head.runId;
}

/** Writes a dataset of these rows, in parts of four; their run is made here, and its id returned. */
export async function writeRows(
  directory: string,
  rows: readonly Row[],
  identity: Partial<RunIdentity> = {},
): Promise<string> {
  const storage = openStorage(directory);
  const { head } = await createRunHead(storage, { ...sampleIdentity, ...identity });
  const { chunkSize } = head.identity;
  for (let first = 0; first < rows.length; first += chunkSize) {
    const own = rows.slice(first, first + chunkSize).map((row) => ({ ...row, run_id: head.runId }));
    await commitPart(storage, { ...sampleDraft(own), head });
  }
  return head.runId;
}
