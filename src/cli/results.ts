import type { Command } from "commander";
import { registerResultsCompact } from "./results-compact.js";
import { registerResultsExport } from "./results-export.js";
import { registerResultsSearch } from "./results-search.js";
import { registerResultsStats } from "./results-stats.js";
import { registerResultsVerify } from "./results-verify.js";

/** `labelmill results`: what is done with a dataset once it is there. */
export function registerResults(program: Command): void {
  const results = program.command("results").description("read a dataset, and put it into larger files");
  for (const register of [
    registerResultsStats,
    registerResultsSearch,
    registerResultsExport,
    registerResultsVerify,
    registerResultsCompact,
  ])
    register(results);
}
