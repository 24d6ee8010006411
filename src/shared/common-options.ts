/** Options of (nearly) every command: a part of the table in `option-table.ts`, which alone reads it. */
import { z } from "zod";
import { logFormats, logLevels } from "./log.js";
import { type CommandName, option, text } from "./option-spec.js";

const everywhere: readonly CommandName[] = [
  "run",
  "enqueue",
  "work",
  "exporter",
  "models",
  "models verify",
  "doctor",
  "results",
  "runs",
  "schedule",
  "results search",
  "plan",
  "diff",
  "runs retry",
  "results push",
];

export const commonOptions = {
  cacheDir: option<string | null>({
    flag: "--cache-dir <dir>",
    class: "execution",
    commands: [
      ...(["run", "enqueue", "work", "models", "models verify", "doctor", "results search", "schedule"] as const),
      ...(["plan", "runs retry"] as const),
    ],
    description: "where models are kept",
    expected: "a directory",
    schema: text.nullable(),
    default: null,
    defaultText: "$XDG_CACHE_HOME/labelmill, else ~/.cache/labelmill",
  }),
  logLevel: option<(typeof logLevels)[number]>({
    flag: "--log-level <level>",
    class: "execution",
    commands: everywhere,
    description: "least severe lines that are logged, on stderr",
    expected: "error, warn, info or debug",
    schema: z.enum(logLevels),
    default: "info",
  }),
  logFormat: option<(typeof logFormats)[number]>({
    flag: "--log-format <format>",
    class: "execution",
    commands: everywhere,
    description: "form of the log lines",
    expected: "text or json",
    schema: z.enum(logFormats),
    default: "text",
  }),
} as const;
