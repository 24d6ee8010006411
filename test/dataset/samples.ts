import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PartDraft } from "../../src/dataset/part.js";
import type { Row } from "../../src/dataset/row.js";
import type { RunIdentity } from "../../src/dataset/run-head.js";
import type { Summary } from "../../src/dataset/summary.js";

/** Runs `action` in a new directory, which is removed afterwards. */
export async function inDirectory<T>(action: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "labelmill-dataset-"));
  try {
    return await action(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export const sampleIdentity: RunIdentity = {
  sources: ["/photos"],
  include: [],
  exclude: [],
  allFiles: false,
  limit: null,
  sample: null,
  sampleSeed: 0,
  dedupe: "none",
  uriColumn: "uri",
  idColumn: null,
  keepColumns: [],
  inputFormat: null,
  chunkSize: 4,
  model: "resnet50",
  modelSha256: "a".repeat(64),
  preprocessSha256: "b".repeat(64),
  precision: "fp32",
  topK: 2,
  embedding: "float32",
  format: "parquet",
};

export const sampleRunId = "20260102-0123abcd";

const sampleConstants = {
  run_id: sampleRunId,
  item_id: "id",
  model: "resnet50",
  model_sha256: "a".repeat(64),
  preprocess_sha256: "b".repeat(64),
  precision: "fp32",
} as const;

export function okRow(index: number): Row {
  return {
    ...sampleConstants,
    item_index: index,
    uri: `/photos/${index}.jpg`,
    status: "ok",
    error_code: null,
    error_message: null,
    label: index % 2 === 0 ? "tabby" : "tench",
    label_index: index % 2 === 0 ? 281 : 0,
    score: 0.1 + 0.7,
    top_labels: ["tabby", "tench"],
    top_indices: [281, 0],
    top_scores: [0.8, 1e-9],
    embedding: Float32Array.of(index, 0.1, 1 / 3),
    width: 640,
    height: 480,
    format: "jpeg",
    bytes: 5_000_000_000,
    sha256: "c".repeat(64),
    etag: null,
    modified_at: new Date(1_700_000_000_123),
    source_line: null,
    extra: { class: "cat", "": "é" },
  };
}

export function failedRow(index: number, code = "DECODE_CORRUPT"): Row {
  const unknown = Object.fromEntries(Object.keys(okRow(index)).map((name) => [name, null])) as unknown as Row;
  return {
    ...unknown,
    ...sampleConstants,
    item_index: index,
    uri: `/photos/${index}.jpg`,
    status: "failed",
    error_code: code,
    error_message: "The image data is damaged: bad huffman code",
  };
}

/** A draft of chunk 0, or of the chunk that the rows start. */
export function sampleDraft(rows: readonly Row[], identity: Partial<RunIdentity> = {}): PartDraft {
  const { chunkSize } = { ...sampleIdentity, ...identity };
  return {
    head: { runId: sampleRunId, identity: { ...sampleIdentity, ...identity } },
    chunk: Math.floor((rows[0]?.item_index ?? 0) / chunkSize),
    rows,
    making: {
      engine: "onnx/cpu",
      attempts: 1,
      duplicates: 0,
      workerVersion: "0.1.0",
      startedAt: "2026-01-02T03:04:05.000Z",
      finishedAt: "2026-01-02T03:04:06.000Z",
    },
    embeddingWidth: 3,
  };
}

export const sampleSummary: Summary = {
  runId: sampleRunId,
  status: "completed",
  items: 2,
  ok: 1,
  failed: 1,
  failuresByCode: { DECODE_CORRUPT: 1 },
  duplicates: 1,
  carried: 0,
  seconds: 1.5,
  imagesPerSecond: 1.3,
  engines: ["onnx/cpu"],
  whyEngines: { "onnx/cpu": "the fastest CPU engine here" },
  precision: "fp32",
  model: "resnet50",
  modelSha256: "a".repeat(64),
  boundBy: null,
  stageShares: {},
  out: "/out",
};

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
}
