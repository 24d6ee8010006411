/** The codes of commands that read a dataset: a part of the table in `errors.ts`, which alone reads it. */
import { failed, usage } from "./error-spec.js";

export const resultsErrors = {
  RESULTS_NOT_FOUND: usage(
    "{out} has no row with {what}{hint}",
    "What was searched for is not among the committed rows; a run that goes on may still make it.",
  ),
  RESULTS_NO_EMBEDDING: usage(
    "{what} has no embedding to compare with: {reason}",
    "The run keeps no embeddings (`--embedding none`), or the row failed.",
  ),
  RESULTS_MODEL_DIFFERS: failed(
    "The rows of {out} are of model {name} with digest {expected}, and {name} in the cache has {found}; embeddings of different models cannot be compared",
    "An image that is searched for goes through the model that made the dataset, with the same preprocessing and precision. Import or pull that model into the cache.",
  ),
  RESULTS_IMAGE: failed(
    "Cannot search for {path}: {reason}",
    "The image that is searched for cannot be read or decoded; the reason is that which its row would have.",
  ),
  RESULTS_EXISTS: usage(
    "{path} is there already: {way}; choose another place with --to",
    "An export replaces nothing unless it is told to.",
  ),
  RESULTS_INCOMPLETE: usage(
    "{out} is not complete, and only a complete dataset can be compacted; repeat the command that submitted run {runId} first",
    "Workers still commit parts of a run that goes on, and look for those that they have.",
  ),
  RESULTS_EXPORT: failed(
    "Cannot export {out} as {format}: {reason}",
    "The dataset holds nothing that this format could hold, or the place of the export cannot be written.",
  ),
};
