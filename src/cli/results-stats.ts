import type { Command } from "commander";
import { openResults } from "../results/open.js";
import { computeStats, type Stats } from "../results/stats.js";
import { addFlags, resolveFlags } from "./flags.js";
import { parseInteger } from "./invalid-option.js";
import { describeFailures } from "./progress.js";
import { openReading } from "./reading.js";
import { formatTable } from "./table.js";

const longestBar = 30;

/** `labelmill results stats`. */
export function registerResultsStats(results: Command): void {
  addFlags(results.command("stats"), "results")
    .description("counts, failures by code, how sure the model was, and how often each label came first")
    .argument("<out>", "directory or s3: uri of a dataset, complete or not")
    .option("--top <n>", "labels shown in the table", "20")
    .option("--json", "print one JSON object on stdout, with every label")
    .addHelpText("after", "\nExample:\n  labelmill results stats labels --top 5")
    .action(statsCommand);
}

async function statsCommand(
  out: string,
  { json, top, ...flags }: Record<string, unknown> & { top: string },
): Promise<void> {
  const topLabels = parseInteger("top", top, 1, 1_000_000);
  const { terminal, reading } = openReading(out, await resolveFlags(flags));
  const stats = await computeStats(await openResults(out, reading));
  terminal.print(json === true ? JSON.stringify(stats) : describeStats(stats, topLabels));
}

function describeStats(stats: Stats, top: number): string {
  const { runId, complete, model, items, ok, failed, failuresByCode, meanScore } = stats;
  const state = complete ? "complete" : "not complete yet";
  const failures = failed === 0 ? "" : ` (${describeFailures(failuresByCode)})`;
  const head = `Run ${runId}, ${model}, ${state}: ${items} rows, ${ok} ok, ${failed} failed${failures}`;
  if (meanScore === null) return head;
  return [head, "", `Scores, ${meanScore.toFixed(3)} on average:`, scoreTable(stats), "", labelTable(stats, top)].join(
    "\n",
  );
}

function scoreTable({ scores }: Stats): string {
  const most = Math.max(...scores);
  const rows = scores.map((count, bin) => {
    const range = `${(bin / scores.length).toFixed(1)} to ${((bin + 1) / scores.length).toFixed(1)}`;
    return [range, count, bar(count, most)];
  });
  return formatTable(["score", "rows", ""], rows);
}

function labelTable({ labels }: Stats, top: number): string {
  const most = labels[0]?.count ?? 1;
  const rows = labels
    .slice(0, top)
    .map(({ label, index, count, meanScore }) => [label, index, count, Number(meanScore.toFixed(3)), bar(count, most)]);
  const left = labels.length - rows.length;
  const rest = left > 0 ? `\n… and ${left} more labels (--top, or --json for all)` : "";
  return formatTable(["label", "index", "rows", "mean score", ""], rows) + rest;
}

/** Whatever is there at all shows. */
function bar(count: number, most: number): string {
  return count === 0 ? "" : "#".repeat(Math.max(1, Math.round((count / most) * longestBar)));
}
