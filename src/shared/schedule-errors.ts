/** The codes of `schedule`: a part of the table in `errors.ts`, which alone reads it. */
import { failed, usage } from "./error-spec.js";

export const scheduleErrors = {
  SCHEDULE_UNKNOWN: usage(
    "Unknown schedule `{given}`; {known}",
    "No schedule of that name is in the Redis that was looked into. `labelmill schedule list` shows those that are.",
  ),
  SCHEDULE_UNREADABLE: failed(
    "Schedule `{name}` cannot be read by this version: {reason}; add it again, or remove it with `labelmill schedule rm {name}`",
    "Another version of labelmill wrote it, or it was changed by hand.",
  ),
} as const;
