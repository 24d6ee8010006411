#!/usr/bin/env node
/** The command `labelmill`: registers the commands and turns what they throw into one sentence and an exit status. */
import { Command, CommanderError } from "commander";
import { LabelmillError } from "../shared/errors.js";
import { printable } from "../shared/printable.js";
import { version } from "../shared/version.js";
import { registerDiff } from "./diff.js";
import { registerDoctor } from "./doctor.js";
import { registerEnqueue } from "./enqueue.js";
import { registerExporter } from "./exporter.js";
import { registerModels } from "./models.js";
import { registerPlan } from "./plan.js";
import { registerResults } from "./results.js";
import { registerRun } from "./run.js";
import { registerRuns } from "./runs.js";
import { registerSchedule } from "./schedule.js";
import { ignoreClosedPipes } from "./terminal.js";
import { registerWork } from "./work.js";

const usageError = 2;

const program = new Command("labelmill")
  .description("Labels and embeddings for any number of images, on a queue.")
  .version(version)
  .showSuggestionAfterError()
  .exitOverride();
const commands = [
  registerRun,
  registerEnqueue,
  registerWork,
  registerExporter,
  registerPlan,
  registerDiff,
  registerRuns,
  registerSchedule,
  registerModels,
  registerResults,
  registerDoctor,
];
for (const register of commands) {
  register(program);
}

ignoreClosedPipes();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong on stderr, and returns the exit status. */
function report(error: unknown): number {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageError;
  if (error instanceof LabelmillError) {
    process.stderr.write(`labelmill: ${printable(error.message)} [${error.code}]\n`);
    return error.exitCode;
  }
  process.stderr.write(
    `labelmill: unexpected error, please report it: ${error instanceof Error ? error.stack : error}\n`,
  );
  return 1;
}
