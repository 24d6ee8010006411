import type { Command } from "commander";
import { type RetryResult, retryRun } from "../library/retry.js";
import { addFlags, resolveFlags } from "./flags.js";
import { invalid } from "./invalid-option.js";
import { describeFailures, describeSeconds, openProgress } from "./progress.js";
import { openPullProgress } from "./pull-progress.js";
import { exitWithFailures, openTerminal } from "./terminal.js";

const help = `
Examples:
  labelmill runs retry labels --failed                      every row of the dataset in labels that failed
  labelmill runs retry 4f2a --where code=FETCH_TIMEOUT      those of run 4f2a that failed so; repeat --where for more codes

Works on the items itself, as run does, and waits. The dataset must be complete; it shows the new rows from the moment that the
last of them is made, and until then the old ones. The same command goes on where it was interrupted.
Exit status: 0 all ok, 1 the retry failed, 2 usage, 3 rows are left that failed, 130 interrupted.`;

/** `labelmill runs retry`. */
export function registerRetry(runs: Command): void {
  addFlags(runs.command("retry"), "runs retry")
    .description("make rows of a complete dataset that failed again, in place")
    .argument("<run>", "id of a run, or the beginning of it, or the directory of its dataset")
    .option("--failed", "every row that failed")
    .option("--where <condition>", "code=CODE: rows that failed with that code (repeatable)", collect, [])
    .option("--json", "print the dataset's new summary as one JSON object on stdout")
    .addHelpText("after", help)
    .action(async (run: string, { json, failed, where, ...flags }: Record<string, unknown>) => {
      const codes = codesOf(failed === true, where as string[]);
      process.exitCode = await retryCommand(run, { codes, flags, asJson: json === true });
    });
}

const collect = (value: string, before: string[]): string[] => [...before, value];

/** Null for every code. */
function codesOf(isAll: boolean, conditions: readonly string[]): readonly string[] | null {
  const codes = conditions.map((condition) => {
    const code = /^code=(.+)$/s.exec(condition)?.[1];
    if (code === undefined) throw invalid("where", "code=CODE, as code=FETCH_TIMEOUT", condition);
    return code;
  });
  if (isAll === codes.length > 0)
    throw invalid("failed", "given, or --where code=CODE instead", isAll ? "both" : "neither");
  return isAll ? null : codes;
}

async function retryCommand(
  run: string,
  { codes, flags, asJson }: { codes: readonly string[] | null; flags: Record<string, unknown>; asJson: boolean },
): Promise<number> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const { log } = terminal;
  const signal = terminal.catchSignals();
  const progress = openProgress(terminal);
  try {
    const hooks = { log, signal, onProgress: progress.update, onPull: openPullProgress(terminal) };
    const result = await retryRun(run, { ...options, ...hooks, ...(codes && { codes }) });
    progress.stop();
    terminal.print(asJson ? JSON.stringify(result.summary) : describeRetry(result));
    return result.summary.failed > 0 ? exitWithFailures : 0;
  } finally {
    progress.stop();
  }
}

function describeRetry({ summary, retried }: RetryResult): string {
  const { items, ok, failed, failuresByCode, seconds, out } = summary;
  const failures = failed === 0 ? "" : ` (${describeFailures(failuresByCode)})`;
  const did =
    retried === 0 ? "No row failed so, nothing to do" : `${retried} rows retried in ${describeSeconds(seconds)}`;
  return `${did}. ${items} items: ${ok} ok, ${failed} failed${failures}\nDataset: ${out}`;
}
