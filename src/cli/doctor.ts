import type { Command } from "commander";
import { resolveCall } from "../library/context.js";
import { diagnose } from "../library/diagnose.js";
import { addFlags, resolveFlags } from "./flags.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

/** `labelmill doctor`. */
export function registerDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .description("what is here, what a run would use and why, and the proof: one photo labelled")
    .option("--json", "print the findings as one JSON object on stdout")
    .addHelpText("after", "\nExit status: 0 where a run would work, 1 where something is missing.");
  addFlags(command, "doctor").action(async ({ json, ...flags }: Record<string, unknown>) => {
    const options = await resolveFlags(flags);
    const terminal = openTerminal(options);
    const findings = await diagnose(resolveCall({ ...options, log: terminal.log }));
    const rows = findings.map(({ subject, state, detail }) => [state, subject, detail]);
    terminal.print(json === true ? JSON.stringify({ findings }) : formatTable(["", "", ""], rows).trimStart());
    if (findings.some(({ state }) => state === "failed")) process.exitCode = 1;
  });
}
