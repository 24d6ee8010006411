import type { Command } from "commander";
import { openResults } from "../results/open.js";
import { computeStats, type Stats } from "../results/stats.js";
import { type Verification, verifyResults } from "../results/verify.js";
import { addFlags, resolveFlags } from "./flags.js";
import { describeFailures } from "./progress.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

const mostLabels = 20;
const longestBar = 30;

/** `labelmill results stats|verify`. */
export function registerResults(program: Command): void {
  const results = program.command("results").description("read a dataset");
  addFlags(results.command("stats"), "results")
    .description("counts, failures by code, and how often each label came first")
    .argument("<out>", "directory of a dataset, complete or not")
    .option("--json", "print one JSON object on stdout, with every label")
    .action(async (out: string, { json, ...flags }: Record<string, unknown>) => {
      const terminal = openTerminal(await resolveFlags(flags));
      const stats = await computeStats(await openResults(out));
      terminal.print(json === true ? JSON.stringify(stats) : describeStats(stats));
    });
  addFlags(results.command("verify"), "results")
    .description("check that every pinned item has exactly one row, that parts are whole, and that all counts agree")
    .argument("<out>", "directory of a dataset, complete or not")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", "\nExit status: 0 where nothing is wrong, 1 otherwise. A run that goes on may lack parts.")
    .action(async (out: string, { json, ...flags }: Record<string, unknown>) => {
      const terminal = openTerminal(await resolveFlags(flags));
      const verification = await verifyResults(out);
      terminal.print(json === true ? JSON.stringify(verification) : describeVerification(verification));
      if (verification.problems.length > 0) process.exitCode = 1;
    });
}

function describeVerification({ runId, complete, items, rows, ok, failed, parts, problems }: Verification): string {
  const state = complete ? "complete" : "not complete yet";
  const head = `Run ${runId}, ${state}: ${items} items pinned, ${rows} rows in ${parts} parts, ${ok} ok, ${failed} failed`;
  return [head, ...(problems.length === 0 ? ["Nothing is wrong."] : problems)].join("\n");
}

function describeStats({ runId, complete, model, items, ok, failed, failuresByCode, labels }: Stats): string {
  const state = complete ? "complete" : "not complete yet";
  const failures = failed === 0 ? "" : ` (${describeFailures(failuresByCode)})`;
  const head = `Run ${runId}, ${model}, ${state}: ${items} rows, ${ok} ok, ${failed} failed${failures}`;
  const most = labels[0]?.count ?? 1;
  const rows = labels.slice(0, mostLabels).map(({ label, count, meanScore }) => {
    const bar = "#".repeat(Math.max(1, Math.round((count / most) * longestBar)));
    return [label, count, Number(meanScore.toFixed(3)), bar];
  });
  const rest = labels.length > mostLabels ? `\n… and ${labels.length - mostLabels} more labels (--json has all)` : "";
  return labels.length === 0 ? head : `${head}\n\n${formatTable(["label", "rows", "mean score", ""], rows)}${rest}`;
}
