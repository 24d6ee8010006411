import type { Command } from "commander";
import { type Verification, verifyResults } from "../results/verify.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openReading } from "./reading.js";

/** `labelmill results verify`. */
export function registerResultsVerify(results: Command): void {
  addFlags(results.command("verify"), "results")
    .description("check that every pinned item has exactly one row, that parts are whole, and that all counts agree")
    .argument("<out>", "directory or s3: uri of a dataset, complete or not")
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  labelmill results verify labels\nExit status: 0 where nothing is wrong, 1 otherwise. A run that goes on may lack parts.",
    )
    .action(async (out: string, { json, ...flags }: Record<string, unknown>) => {
      const { terminal, reading } = openReading(out, await resolveFlags(flags));
      const verification = await verifyResults(out, reading);
      terminal.print(json === true ? JSON.stringify(verification) : describeVerification(verification));
      if (verification.problems.length > 0) process.exitCode = 1;
    });
}

function describeVerification({ runId, complete, items, rows, ok, failed, parts, problems }: Verification): string {
  const state = complete ? "complete" : "not complete yet";
  const head = `Run ${runId}, ${state}: ${items} items pinned, ${rows} rows in ${parts} parts, ${ok} ok, ${failed} failed`;
  return [head, ...(problems.length === 0 ? ["Nothing is wrong."] : problems)].join("\n");
}
