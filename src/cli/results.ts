import type { Command } from "commander";
import { registerResultsExport } from "./results-export.js";
import { registerResultsPush } from "./results-push.js";
import { registerResultsSearch } from "./results-search.js";
import { registerResultsStats } from "./results-stats.js";
import { registerResultsVerify } from "./results-verify.js";

/** `labelmill results`: everything that reads a dataset. */
export function registerResults(program: Command): void {
  const results = program.command("results").description("read a dataset");
  const commands = [
    registerResultsStats,
    registerResultsSearch,
    registerResultsExport,
    registerResultsVerify,
    registerResultsPush,
  ];
  for (const register of commands) register(results);
}
