import type { Command } from "commander";
import { type EnqueueResult, enqueue } from "../library/enqueue.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openTerminal } from "./terminal.js";

/** `labelmill enqueue`. */
export function registerEnqueue(program: Command): void {
  const command = program
    .command("enqueue")
    .description("pin and queue the sources for workers elsewhere; exits when all is queued")
    .argument("<source...>", "directories, or .txt lists with one path or http(s) address a line")
    .option("--json", "print what was queued as one JSON object on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  labelmill enqueue /data/photos --out /data/labels --redis-url redis://queue:6379\n\n" +
        "Workers must see the sources and --out under the same paths.",
    );
  addFlags(command, "enqueue").action(async (sources: string[], { json, ...flags }: Record<string, unknown>) => {
    const options = await resolveFlags(flags);
    const terminal = openTerminal(options);
    const { log } = terminal;
    const signal = terminal.catchSignals();
    const onPinned = (pinned: { items: number; chunks: number }) => log.debug("pinned", pinned);
    const result = await enqueue(sources, { ...options, log, signal, onPinned });
    terminal.print(json === true ? JSON.stringify(result) : describeQueued(result));
  });
}

function describeQueued({ runId, out, items, chunks, leftOut, wasComplete }: EnqueueResult): string {
  if (wasComplete) return `Run ${runId} is complete already, nothing to queue.\nDataset: ${out}`;
  const left = Object.entries(leftOut).map(([reason, n]) => `; left out ${n}: ${reason}`);
  return `Run ${runId}: ${items} items in ${chunks} chunks${left.join("")}\nDataset: ${out}`;
}
