import type { Command } from "commander";
import { type Diff, diffResults } from "../library/diff.js";
import { addFlags, resolveFlags } from "./flags.js";
import { parseInteger } from "./invalid-option.js";
import { everyFewSeconds } from "./progress.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

const help = `
Examples:
  labelmill diff labels labels-2                what another model, or a week, has changed
  labelmill diff labels labels-2 --json         with every pair of labels

Items are joined by their ids. Exit status: 0, whatever is different.`;

/** `labelmill diff`. */
export function registerDiff(program: Command): void {
  addFlags(program.command("diff"), "diff")
    .description("what is different between two datasets: labels that flipped, embeddings, scores, items in one alone")
    .argument("<out-a>", "directory of a dataset, complete or not")
    .argument("<out-b>", "the same")
    .option("--top <n>", "pairs of labels shown in the table", "20")
    .option("--json", "print one JSON object on stdout, with every pair of labels")
    .addHelpText("after", help)
    .action(diffCommand);
}

async function diffCommand(
  outA: string,
  outB: string,
  { json, top, ...flags }: Record<string, unknown> & { top: string },
): Promise<void> {
  const shown = parseInteger("top", top, 1, 1_000_000);
  const terminal = openTerminal(await resolveFlags(flags));
  const onRows = everyFewSeconds((rows) => terminal.log.info(`${rows} rows compared`));
  const diff = await diffResults(outA, outB, { signal: terminal.catchSignals(), onRows });
  terminal.print(json === true ? JSON.stringify(diff) : describeDiff(diff, shown));
}

function describeDiff(diff: Diff, top: number): string {
  const { a, b, items, status, flipped } = diff;
  const sides = formatTable(
    ["", "dataset", "model", "precision", "rows", "only there"],
    [a, b].map(({ out, model, precision, rows, only }, i) => ["AB".charAt(i), out, model, precision, rows, only]),
  );
  const { bothOk, bothFailed, okToFailed, failedToOk } = status;
  const counts = `${items} items in both: ${bothOk} ok in both, ${bothFailed} failed in both, ${okToFailed} ok then failed, ${failedToOk} failed then ok`;
  const share = bothOk === 0 ? "" : ` (${((100 * flipped) / bothOk).toFixed(2)} %)`;
  const labels = `${flipped} of ${bothOk} labels flipped${share}`;
  return [sides, counts, labels, ...flipLines(diff, top), "", describeShifts(diff)].join("\n");
}

function flipLines({ flips }: Diff, top: number): string[] {
  if (flips.length === 0) return [];
  const rows = flips.slice(0, top).map(({ from, to, count, examples }) => [from, to, count, examples[0]?.uri ?? ""]);
  const left = flips.length - rows.length;
  const rest = left > 0 ? [`… and ${left} more pairs (--top, or --json for all)`] : [];
  return [formatTable(["from", "to", "items", "for example"], rows), ...rest];
}

function describeShifts({ scoreShift, cosine, whyNoCosine }: Diff): string {
  const rows = Object.entries({ "score B - A": scoreShift, cosine }).flatMap(([name, found]) => {
    if (found === null) return [];
    const { mean, min, max, quantiles } = found;
    return [[name, ...[mean, min, quantiles.p01, quantiles.p50, quantiles.p99, max].map((value) => value.toFixed(6))]];
  });
  const table = rows.length === 0 ? [] : [formatTable(["", "mean", "least", "1 %", "median", "99 %", "most"], rows)];
  return [...table, ...(whyNoCosine === null ? [] : [`No cosine: ${whyNoCosine}`])].join("\n");
}
