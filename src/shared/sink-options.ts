/** Where committed parts are delivered to: a part of the table in `option-table.ts`, which alone reads it. */
import { integer, option, texts } from "./option-spec.js";

export const sinkOptions = {
  sink: option<string[]>({
    flag: "--sink <url>",
    class: "policy",
    commands: ["run", "enqueue", "work"],
    description:
      "deliver committed parts to this Postgres, Redis or LanceDB as well; may be repeated; kept with the run without passwords",
    expected: "urls as postgres://user@host/database, redis://host/0 or lancedb:///directory",
    schema: texts,
    default: [],
  }),
  sinkTimeoutMs: option<number>({
    flag: "--sink-timeout-ms <ms>",
    class: "policy",
    commands: ["run", "results push"],
    description: "how long to wait for a sink that takes nothing, once all else is done",
    expected: "an integer from 0 to 86400000",
    schema: integer(0, 86_400_000),
    default: 60_000,
  }),
} as const;
