import type { Command } from "commander";
import { exportMetrics } from "../library/exporter.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openTerminal } from "./terminal.js";

const help = `
It needs no model and does no work. Run one for each Redis, always: what workers are scaled by, labelmill_queue_chunks, has
to be there when there are no workers.

Examples:
  labelmill exporter --redis-url redis://queue:6379
  curl -s http://127.0.0.1:9464/metrics | grep labelmill_queue_chunks
  labelmill exporter --redis-url redis://queue:6379 --metrics-host 0.0.0.0 --metrics-port 9500

Exit status: 0 after a signal, 1 where it cannot listen or Redis refuses, 2 usage.`;

/** `labelmill exporter`. */
export function registerExporter(program: Command): void {
  const command = program
    .command("exporter")
    .description("serve the figures of all runs of one Redis to Prometheus and KEDA, until SIGTERM or SIGINT")
    .addHelpText("after", help);
  addFlags(command, "exporter").action(async (flags: Record<string, unknown>) => {
    const options = await resolveFlags(flags);
    const { log, catchSignals } = openTerminal(options);
    const { url, ended } = await exportMetrics({ ...options, log, signal: catchSignals() });
    log.info("serving /livez, /readyz and /metrics", { url });
    await ended;
    log.info("exporter stopped");
  });
}
