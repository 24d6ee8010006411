/** The codes of sinks: a part of the table in `errors.ts`, which alone reads it. */
import { failed, usage } from "./error-spec.js";

export const sinkErrors = {
  SINK_INVALID: usage(
    "Cannot use {sink} as a sink: {reason}",
    "A sink is `postgres://user@host/database`, `redis://host/0` or `lancedb:///directory`, with the parameters that `docs/results.md` lists.",
  ),
  SINK_MISSING: failed(
    "The sink {sink} needs the package {package}, which cannot be loaded ({reason}); install it beside labelmill: `npm install {package}`",
    "An optional package is not installed, or not for this platform.",
  ),
  SINK_UNREACHABLE: failed(
    "The sink {sink} does not take parts now: {reason}",
    "The server is down, starting, full, or cannot be reached. What is delivered stays; the rest waits, and delivering again goes on.",
    true,
  ),
  SINK_REFUSED: failed(
    "The sink {sink} refuses: {reason}",
    "The credentials, the database, the rights or the tables are not right. Nothing is lost: put it right, and deliver again.",
  ),
  SINK_BEHIND: failed(
    "Not all rows are delivered: {reason}. The dataset has them; go on with {remedy}",
    "A sink did not take every part in time. The rows are in the dataset; `labelmill results push`, or the same command again, delivers what is missing.",
    true,
  ),
};
