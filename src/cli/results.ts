import type { Command } from "commander";
import { registerResultsCompact } from "./results-compact.js";
import { registerResultsExport } from "./results-export.js";
import { registerResultsPush } from "./results-push.js";
import { registerResultsSearch } from "./results-search.js";
import { registerResultsStats } from "./results-stats.js";
import { registerResultsVerify } from "./results-verify.js";

/** `labelmill results`: what is done with a dataset once it is there. */
export function registerResults(program: Command): void {
  const results = program.command("results").description("read a dataset, put it into larger files, deliver it");
  const commands = [
    registerResultsStats,
    registerResultsSearch,
    registerResultsExport,
    registerResultsVerify,
    registerResultsCompact,
    registerResultsPush,
  ];
  for (const register of commands) register(results);
}
