/** The codes of runs that make use of an earlier one: a part of the table in `errors.ts`, which alone reads it. */
import { failed, usage } from "./error-spec.js";

export const reprocessErrors = {
  RUN_STALE: usage(
    "Every row of {against} is stale, as it was made with {differences}; name stale in --only, so that the rows of a dataset are of one model and form, or use the same values",
    "Rows that were made with another model, preprocessing, precision, top-k or form of embeddings cannot stand beside new ones.",
  ),
  RUN_CARRY: failed(
    "Cannot carry rows over from {against}: {reason}",
    "The dataset that `--against` names, or that is retried, lacks a row that it should have, or has another one in its place.",
  ),
  RUN_RETRY: failed(
    "Cannot retry {out}: {reason}",
    "The cache holds other weights under the name of the model that made the dataset, and the rows of a dataset are of one model; or a retry of other codes was begun there and is not complete.",
  ),
} as const;
