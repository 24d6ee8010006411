import type { Row } from "../dataset/row.js";
import { type RunHead, rowsRunId } from "../dataset/run-head.js";
import { carryRow } from "./carried-rows.js";
import type { Predicted, PredictedItem } from "./pipeline.js";

/** The row of one item: a pure function of the run, the item, its bytes and the prediction. */
export function toRow(head: RunHead, labels: readonly string[], predicted: PredictedItem): Row {
  if ("carried" in predicted) return carryRow(head, predicted.item, predicted.carried);
  const { identity } = head;
  const { item, facts, prediction } = predicted;
  return {
    run_id: rowsRunId(head),
    item_index: item.index,
    item_id: item.id,
    uri: item.uri,
    status: prediction.ok ? "ok" : "failed",
    error_code: prediction.ok ? null : prediction.failure.code,
    error_message: prediction.ok ? null : prediction.failure.message,
    ...predictionColumns(predicted, labels, identity.embedding === "none"),
    bytes: facts?.byteLength ?? null,
    sha256: facts?.sha256 ?? null,
    etag: facts?.etag ?? null,
    modified_at: facts?.modifiedAt ?? null,
    source_line: item.line ?? null,
    extra: item.extra ?? null,
    model: identity.model,
    model_sha256: identity.modelSha256,
    preprocess_sha256: identity.preprocessSha256,
    precision: identity.precision,
  };
}

type PredictionColumns = Pick<
  Row,
  | "label"
  | "label_index"
  | "score"
  | "top_labels"
  | "top_indices"
  | "top_scores"
  | "embedding"
  | "width"
  | "height"
  | "format"
>;

const noPrediction: PredictionColumns = {
  label: null,
  label_index: null,
  score: null,
  top_labels: null,
  top_indices: null,
  top_scores: null,
  embedding: null,
  width: null,
  height: null,
  format: null,
};

function predictionColumns(
  { prediction }: Predicted,
  labels: readonly string[],
  dropEmbedding: boolean,
): PredictionColumns {
  if (!prediction.ok) return noPrediction;
  const { topIndices, topScores, embedding, width, height, format } = prediction.value;
  const topLabels = topIndices.map((index) => labels[index] ?? String(index));
  return {
    label: topLabels[0] ?? null,
    label_index: topIndices[0] ?? null,
    score: topScores[0] ?? null,
    top_labels: topLabels,
    top_indices: topIndices,
    top_scores: topScores,
    embedding: dropEmbedding ? null : embedding,
    width,
    height,
    format,
  };
}
