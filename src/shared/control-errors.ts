/** The codes of `runs` and of what it does to others: a part of the table in `errors.ts`, which alone reads it. */
import { failed, usage } from "./error-spec.js";

export const controlErrors = {
  RUN_UNKNOWN: usage(
    "Unknown run `{given}`{where}; {known}",
    "No record of such a run is in the Redis that was looked into, nor in a private one on this machine. A record goes `--keep` after its run has ended; the dataset stays.",
  ),
  RUN_AMBIGUOUS: usage(
    "`{given}` may be any of the runs {known}; give more of the id",
    "A run may be named by the beginning of its id, or of the part behind the date, where that is one run's alone.",
  ),
  RUN_STATE: failed(
    "Cannot {command} run {runId}, which is {state}: {reason}",
    "The state of the run does not allow the command; [operations](operations.md#states) has the whole table.",
  ),
  RUN_CANCELLED: failed(
    "Run {runId} was cancelled; repeat the same command to take it up again, finished parts are kept",
    "Somebody called `labelmill runs cancel` while the command was at work. The dataset is valid and lacks rows.",
    true,
  ),
} as const;
