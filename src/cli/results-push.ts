import type { Command } from "commander";
import { type PushResult, pushResults } from "../library/push-results.js";
import { openDeliveryProgress } from "./delivery-progress.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openTerminal } from "./terminal.js";

const help = `
Sinks:
  postgres://user@host/database     tables in the schema labelmill (?schema=NAME); pgvector where the server has it
  redis://host/0?prefix=P&ttl=7d    a hash an item
  lancedb:///directory              a LanceDB database, of the package @lancedb/lancedb

A password comes from PGPASSWORD or PGPASSFILE, LABELMILL_SINK_REDIS_PASSWORD, or the url; it is shown nowhere.
Delivering again, or twice at once, is safe: a part is delivered once, whole.

Examples:
  labelmill results push OUT --to postgres://me@db.example.com/images
  labelmill results push OUT --to lancedb:./lance --index

Exit status: 0 all is delivered, 1 it is not (repeat the command to go on), 2 usage, 130 interrupted.`;

/** `labelmill results push`. */
export function registerResultsPush(results: Command): void {
  addFlags(results.command("push"), "results push")
    .description("deliver the rows of a dataset to Postgres, Redis or LanceDB")
    .argument("<out>", "directory of a dataset, complete or not")
    .requiredOption("--to <url>", "where to; may be repeated", (url: string, before: string[] = []) => [...before, url])
    .option("--index", "then make the indexes that searches of this run want, which takes a while")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", help)
    .action(async (out: string, given: Record<string, unknown>) => {
      const { json, to, index, ...flags } = given as { json?: boolean; to: string[]; index?: boolean };
      const options = await resolveFlags(flags);
      const terminal = openTerminal(options);
      const { log } = terminal;
      const progress = openDeliveryProgress(terminal);
      const hooks = { log, signal: terminal.catchSignals(), onProgress: progress.update };
      try {
        const result = await pushResults(out, { ...options, ...hooks, to, index: index === true });
        progress.stop();
        terminal.print(json === true ? JSON.stringify(result) : describePush(result));
      } finally {
        progress.stop();
      }
    });
}

function describePush({ runId, complete, parts, sinks }: PushResult): string {
  const lines = sinks.map(({ sink, indexes }) => {
    const made = indexes.length === 0 ? "" : `, with the indexes ${indexes.join(" and ")}`;
    return `All ${parts} parts of run ${runId} are in ${sink}${made}`;
  });
  return [...lines, ...(complete ? [] : ["The run is not complete; push again for the parts to come."])].join("\n");
}
