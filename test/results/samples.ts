import assert from "node:assert/strict";
import { join } from "node:path";
import { itemIdOf, pinSegment, sealItems } from "../../src/dataset/items.js";
import { commitPart } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import { createRunHead, type RunIdentity, readRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { readSummary, writeSummary } from "../../src/dataset/summary.js";
import { openResults } from "../../src/results/open.js";
import { failedRow, okRow, sampleDraft, sampleIdentity } from "../dataset/samples.js";
import { collect } from "../support/temp-dir.js";

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

/** Writes a dataset of these rows into a directory or a storage, in parts of four; their run is made here, and its id returned. */
export async function writeRows(
  place: string | Storage,
  rows: readonly Row[],
  identity: Partial<RunIdentity> = {},
): Promise<string> {
  const storage = typeof place === "string" ? openStorage(place) : place;
  const { head } = await createRunHead(storage, { ...sampleIdentity, ...identity });
  const { chunkSize } = head.identity;
  for (let first = 0; first < rows.length; first += chunkSize) {
    const own = rows.slice(first, first + chunkSize).map((row) => ({ ...row, run_id: head.runId }));
    await commitPart(storage, { ...sampleDraft(own), head });
  }
  return head.runId;
}

/** Writes a complete run of `items` items, in chunks of four, of which every fifth failed; returns its id. */
export async function writeComplete(
  storage: Storage,
  items: number,
  given: Partial<RunIdentity> = {},
): Promise<string> {
  const { head } = await createRunHead(storage, { ...sampleIdentity, ...given });
  const { runId, identity } = head;
  const { chunkSize } = identity;
  const ids = Array.from({ length: items }, (_, index) => ({ index, id: itemIdOf(`/p/${index}`), uri: `/p/${index}` }));
  const common = { chunkSize, resumeToken: null, leftOut: {} };
  const chunks = Math.ceil(items / chunkSize);
  await pinSegment(storage, { ...common, segment: 0, firstChunk: 0, chunks, firstItem: 0, items: ids });
  await sealItems(storage, { segments: 1, chunks, items, leftOut: {} });
  const rows = ids.map(({ index, id, uri }) => {
    const row =
      index % 5 === 4
        ? failedRow(index)
        : { ...okRow(index), embedding: Float32Array.of(index, -0, index % 3 === 0 ? Number.NaN : 1) };
    return { ...row, run_id: runId, item_id: id, uri };
  });
  for (let first = 0; first < items; first += chunkSize)
    await commitPart(storage, { ...sampleDraft(rows.slice(first, first + chunkSize), identity), head });
  const failed = Math.floor(items / 5);
  const { precision, model, modelSha256 } = identity;
  const speed = {
    seconds: 1,
    imagesPerSecond: items,
    engines: ["onnx/cpu"],
    whyEngines: {},
    boundBy: null,
    stageShares: {},
  };
  const counts = {
    items,
    ok: items - failed,
    failed,
    failuresByCode: { DECODE_CORRUPT: failed },
    carried: 0,
    duplicates: 0,
  };
  const of = { runId, status: "completed", precision, model, modelSha256, out: storage.location } as const;
  await writeSummary(storage, { ...of, ...counts, ...speed });
  return runId;
}

/** A complete retry by hand, which makes every row of these chunks ok. */
export async function writeRetry(directory: string, mended: readonly number[]): Promise<void> {
  const [storage, retry] = [openStorage(directory), openStorage(join(directory, "retry-0001"))];
  const head = await readRunHead(storage);
  await retry.prepare();
  const summary = await readSummary(storage);
  assert.ok(summary !== null);
  const rows = await collect((await openResults(directory)).rows<keyof Row>());
  let failed = summary.failed;
  for (const chunk of mended) {
    const own = rows.slice(4 * chunk, 4 * chunk + 4);
    failed -= own.filter(({ status }) => status === "failed").length;
    const made = own.map(({ run_id, item_index, item_id, uri }) => ({
      ...okRow(item_index),
      ...{ run_id, item_id, uri, embedding: Float32Array.of(item_index, 1, 1) },
    }));
    await commitPart(retry, { ...sampleDraft(made, head.identity), head });
  }
  const failuresByCode = { DECODE_CORRUPT: failed };
  await writeSummary(retry, { ...summary, ok: summary.items - failed, failed, failuresByCode });
}
