import assert from "node:assert/strict";
import { failure } from "../../src/shared/errors.js";
import { failedWith, succeeded } from "../../src/worker/outcome.js";
import { toRow } from "../../src/worker/rows.js";
import { sampleIdentity } from "../dataset/samples.js";
import { somePrediction } from "../support/run-harness.js";

const head = {
  schemaVersion: 1,
  runId: "20260101-00000000",
  epoch: "e",
  createdAt: "2026-01-01T00:00:00Z",
  identity: sampleIdentity,
  identitySha256: "0".repeat(64),
} as const;
const labels = ["zero", "one"];
const item = { index: 7, id: "id7", uri: "/p/7.png", line: 3, extra: { k: "v" } };
const facts = { byteLength: 99, sha256: "a".repeat(64), etag: "tag", modifiedAt: new Date(0) };

const done = { item, facts, isDuplicate: false };

describe("worker/rows", () => {
  it("fills every column of an item that is ok", () => {
    const row = toRow(head, labels, { ...done, prediction: succeeded(somePrediction) });
    assert.deepEqual(row, {
      run_id: head.runId,
      item_index: 7,
      item_id: "id7",
      uri: "/p/7.png",
      status: "ok",
      error_code: null,
      error_message: null,
      label: "one",
      label_index: 1,
      score: 0.75,
      top_labels: ["one", "zero"],
      top_indices: [1, 0],
      top_scores: [0.75, 0.25],
      embedding: somePrediction.embedding,
      width: 4,
      height: 3,
      format: "png",
      bytes: 99,
      sha256: facts.sha256,
      etag: "tag",
      modified_at: facts.modifiedAt,
      source_line: 3,
      extra: { k: "v" },
      model: sampleIdentity.model,
      model_sha256: sampleIdentity.modelSha256,
      preprocess_sha256: sampleIdentity.preprocessSha256,
      precision: "fp32",
    });
  });

  it("has null, never zero, for what a failed item does not have", () => {
    const gone = failedWith(failure("FETCH_NOT_FOUND", { uri: item.uri }));
    const notFetched = { ...done, facts: null, prediction: gone };
    const row = toRow(head, labels, notFetched);
    assert.deepEqual([row.status, row.error_code], ["failed", "FETCH_NOT_FOUND"]);
    assert.match(row.error_message ?? "", /Nothing is at \/p\/7\.png/);
    const unknown = ["label", "label_index", "score", "top_labels", "top_indices", "top_scores", "embedding"] as const;
    for (const column of [...unknown, "width", "height", "format", "bytes", "sha256", "etag", "modified_at"] as const) {
      assert.equal(row[column], null, column);
    }
    const notDecoded = { ...done, prediction: failedWith(failure("DECODE_CORRUPT", { reason: "x" })) };
    assert.deepEqual([toRow(head, labels, notDecoded).bytes, toRow(head, labels, notDecoded).width], [99, null]);
  });

  it("is the same for a duplicate", () => {
    const prediction = succeeded(somePrediction);
    const duplicate = { ...done, prediction, isDuplicate: true };
    assert.deepEqual(toRow(head, labels, duplicate), toRow(head, labels, { ...done, prediction }));
  });

  it("leaves the embedding out where the run keeps none", () => {
    const without = { ...head, identity: { ...sampleIdentity, embedding: "none" as const } };
    assert.equal(toRow(without, labels, { ...done, prediction: succeeded(somePrediction) }).embedding, null);
  });
});
