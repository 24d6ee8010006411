import type { Command } from "commander";
import { startWorker } from "../library/work.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openPullProgress } from "./pull-progress.js";
import { openTerminal } from "./terminal.js";

/** `labelmill work`. */
export function registerWork(program: Command): void {
  const command = program
    .command("work")
    .description("work for every run that this machine can serve, until SIGTERM or SIGINT")
    .addHelpText(
      "after",
      "\nExample:\n  labelmill work --redis-url redis://queue:6379 --allow-root /data\n\n" +
        "Exit status: 0 after a signal, 1 where the worker cannot go on, 2 usage.",
    );
  addFlags(command, "work").action(async (flags: Record<string, unknown>) => {
    const options = await resolveFlags(flags);
    const terminal = openTerminal(options);
    const { log } = terminal;
    const signal = terminal.catchSignals();
    const worker = await startWorker({ ...options, log, signal, onPull: openPullProgress(terminal) });
    const { engine, whyEngine, batchSize, whyBatchSize } = worker;
    const { model, precision, allowRoot: allowRoots } = options;
    log.info("worker ready", { engine, whyEngine, batchSize, whyBatchSize, model, precision, allowRoots });
    await worker.ended;
    log.info("worker stopped");
  });
}
