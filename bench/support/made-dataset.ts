import { itemIdOf, sealItems } from "../../src/dataset/items.js";
import { commitPart } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import { createRunHead, type RunHead, type RunIdentity } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { writeSummary } from "../../src/dataset/summary.js";

/** What a made dataset is like. */
export interface MadeDataset {
  readonly rows: number;
  /** Floats of an embedding. */
  readonly width: number;
  readonly identity: RunIdentity;
}

const classes = 1_000;
/** One row in so many failed. */
const failedEvery = 100;
const making = {
  engine: "made/bench",
  attempts: 1,
  duplicates: 0,
  workerVersion: "0.0.0",
  startedAt: "2026-01-02T03:04:05.000Z",
  finishedAt: "2026-01-02T03:04:06.000Z",
};

/**
 * Writes a dataset of made rows into the directory `out` with the project's own writer. Embeddings look like a ResNet's to
 * a compressor: none negative, few zero, exponentially distributed, mantissas random. The same call writes the same rows.
 */
export async function makeDataset(out: string, { rows, width, identity }: MadeDataset): Promise<RunHead> {
  const storage = openStorage(out);
  const { head } = await createRunHead(storage, identity);
  const random = openRandom(1);
  for (let first = 0; first < rows; first += identity.chunkSize) {
    const count = Math.min(identity.chunkSize, rows - first);
    const part = Array.from({ length: count }, (_, i) => madeRow(head, first + i, width, random));
    await commitPart(storage, { head, chunk: first / identity.chunkSize, rows: part, making, embeddingWidth: width });
  }
  await complete(storage, head, rows);
  return head;
}

/** What makes it a complete dataset, but for the items, which no reader but `verify` asks for. */
async function complete(storage: Storage, { runId, identity }: RunHead, items: number): Promise<void> {
  await sealItems(storage, { segments: 0, chunks: Math.ceil(items / identity.chunkSize), items, leftOut: {} });
  const failed = Math.floor(items / failedEvery);
  const { model, modelSha256, precision } = identity;
  const counts = { items, ok: items - failed, failed, failuresByCode: {}, duplicates: 0, carried: 0 };
  const speed = { seconds: 1, imagesPerSecond: items, engines: [], whyEngines: {}, boundBy: null, stageShares: {} };
  const of = { runId, status: "completed", model, modelSha256, precision, out: storage.location } as const;
  await writeSummary(storage, { ...of, ...counts, ...speed });
}

function madeRow({ runId, identity }: RunHead, index: number, width: number, random: () => number): Row {
  const uri = `/data/photos/${index % 997}/image-${String(index).padStart(9, "0")}.jpeg`;
  const common = {
    run_id: runId,
    item_index: index,
    item_id: itemIdOf(uri),
    uri,
    etag: null,
    modified_at: new Date(1_700_000_000_000 + index * 1_000),
    source_line: null,
    extra: null,
    model: identity.model,
    model_sha256: identity.modelSha256,
    preprocess_sha256: identity.preprocessSha256,
    precision: identity.precision,
  };
  const bytes = { width: 640, height: 480, format: "jpeg", bytes: 110_000 + index, sha256: itemIdOf(uri).repeat(2) };
  if (index % failedEvery === failedEvery - 1) {
    const none = { label: null, label_index: null, score: null, top_labels: null, top_indices: null, top_scores: null };
    const failure = {
      status: "failed",
      error_code: "DECODE_CORRUPT",
      error_message: "The image data is damaged",
    } as const;
    return { ...common, ...bytes, ...none, ...failure, width: null, height: null, format: null, embedding: null };
  }
  const top = Array.from({ length: identity.topK }, (_, k) => (index * 7 + k * 13) % classes);
  const scores = top.map((_, k) => random() / (k + 1) ** 2);
  const label = (classIndex: number | undefined) => `class_${classIndex}`;
  return {
    ...common,
    ...bytes,
    status: "ok",
    error_code: null,
    error_message: null,
    label: label(top[0]),
    label_index: top[0] ?? 0,
    score: scores[0] ?? 0,
    top_labels: top.map(label),
    top_indices: top,
    top_scores: scores,
    embedding: Float32Array.from({ length: width }, () => (random() < 0.03 ? 0 : -Math.log(1 - random()) * 0.5)),
  };
}

/** Marsaglia's xorshift32 (Journal of Statistical Software 8(14), 2003), as numbers from 0 up to 1. */
function openRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
