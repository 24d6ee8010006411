import type { Command } from "commander";
import type { RunReport } from "../library/run-status.js";
import {
  cancelRun,
  listRuns,
  pauseRun,
  type RunControl,
  type RunsOptions,
  removeRun,
  resumeRun,
  showRun,
  watchRun,
} from "../library/runs.js";
import type { RunCommand } from "../shared/run-control.js";
import { describeReport, describeRuns } from "./describe-run.js";
import { addFlags, resolveFlags } from "./flags.js";
import { registerRetry } from "./runs-retry.js";
import { exitWithFailures, openTerminal, type Terminal } from "./terminal.js";

type Flags = Record<string, unknown>;

const runHelp = "id of a run, or the beginning of it, or of its part behind the date";
const where = `
Runs are looked for in the Redis of --redis-url (or REDIS_URL), and in the private ones of this machine.`;

const groupHelp = `${where}
Examples:
  labelmill runs list --redis-url redis://queue:6379
  labelmill runs show 4f2a                  how far it is, how fast, who works for it, what bounds it
  labelmill runs pause 4f2a                 and resume 4f2a
What each command does in each state: docs/operations.md`;

/** `labelmill runs list|show|watch|pause|resume|cancel|rm|retry`. */
export function registerRuns(program: Command): void {
  const runs = program
    .command("runs")
    .description("the runs that there are: what they do, and what you do to them")
    .addHelpText("after", groupHelp);
  addFlags(runs.command("list"), "runs")
    .description("every run with a record, and those of this machine that were interrupted")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", `${where}\nExample:\n  labelmill runs list`)
    .action(async (flags: Flags) => {
      const { terminal, call } = await open(flags);
      const found = await listRuns(call);
      terminal.print(flags.json === true ? JSON.stringify({ runs: found }) : describeRuns(found));
    });
  addFlags(runs.command("show"), "runs")
    .description("state, counts, rate, failures by code, workers and why they refuse it, where its time goes")
    .argument("<run>", runHelp)
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", `${where}\nExample:\n  labelmill runs show 20261124-4f2a9c1e --json`)
    .action(async (run: string, flags: Flags) => {
      const { terminal, call } = await open(flags);
      const report = await showRun(run, call);
      terminal.print(flags.json === true ? JSON.stringify(report) : describeReport(report));
    });
  addFlags(runs.command("watch"), "runs")
    .description("the same again and again, until the run ends")
    .argument("<run>", runHelp)
    .addHelpText("after", `${where}\n${watchHelp}\nExample:\n  labelmill runs watch 4f2a`)
    .action(watchCommand);
  registerControls(runs);
  registerRetry(runs);
}

const watchHelp =
  "Exit status: 0 all ok, 3 finished with failed rows, 1 cancelled or interrupted, 130 stopped watching.";

interface Control {
  readonly act: (run: string, options: RunsOptions) => Promise<RunControl>;
  readonly description: string;
  readonly done: string;
  readonly alreadyDone: string;
}

const controls: Readonly<Record<RunCommand, Control>> = {
  pause: {
    act: pauseRun,
    description: "let workers finish what they have in hand of the run, and take no more; it stays so over restarts",
    done: "Paused; `labelmill runs resume` goes on.",
    alreadyDone: "Paused already.",
  },
  resume: {
    act: resumeRun,
    description: "let a paused run go on",
    done: "Goes on.",
    alreadyDone: "Not paused, nothing to do.",
  },
  cancel: {
    act: cancelRun,
    description:
      "end the run where it is; its dataset stays valid, and the command that submitted it takes it up again",
    done: "Cancelled; finished parts are kept, and the command that submitted it takes it up again.",
    alreadyDone: "Cancelled already.",
  },
  rm: {
    act: removeRun,
    description: "forget a run that has ended; never touches its dataset",
    done: "Forgotten; its dataset stays.",
    alreadyDone: "Forgotten already.",
  },
};

function registerControls(runs: Command): void {
  for (const [name, { act, description, done, alreadyDone }] of Object.entries(controls)) {
    addFlags(runs.command(name), "runs")
      .description(description)
      .argument("<run>", runHelp)
      .option("--json", "print what was done as one JSON object on stdout")
      .addHelpText("after", `${where}\nExample:\n  labelmill runs ${name} 4f2a`)
      .action(async (run: string, flags: Flags) => {
        const { terminal, call } = await open(flags);
        const result = await act(run, call);
        const text = `Run ${result.runId}: ${result.changed ? done : alreadyDone}\nDataset: ${result.out}`;
        terminal.print(flags.json === true ? JSON.stringify(result) : text);
      });
  }
}

async function open({ json, ...flags }: Flags): Promise<{ terminal: Terminal; call: RunsOptions }> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const { redisUrl, s3Endpoint, s3Region, s3Credentials } = options;
  return { terminal, call: { redisUrl, s3Endpoint, s3Region, s3Credentials, log: terminal.log } };
}

async function watchCommand(run: string, flags: Flags): Promise<void> {
  const { terminal, call } = await open(flags);
  const view = openView(terminal);
  const signal = terminal.catchSignals();
  const last = await watchRun(run, { ...call, signal, onReport: view.show });
  view.end(last);
  process.exitCode = last.state !== "completed" ? 1 : last.failed ? exitWithFailures : 0;
}

const lineEveryMs = 5_000;

/** On a terminal the report is drawn over the last one; elsewhere a line now and then, and the report at the end. */
function openView({ stderr, log, print }: Terminal) {
  let drawnLines = 0;
  let nextLineMs = 0;
  const erase = () => void (drawnLines > 0 && stderr.write(`\u001b[${drawnLines}A\u001b[J`));
  return {
    show(report: RunReport) {
      if (stderr.isTTY) {
        const text = `${describeReport(report)}\n`;
        erase();
        stderr.write(text);
        drawnLines = text.split("\n").length - 1;
      } else if (Date.now() >= nextLineMs) {
        nextLineMs = Date.now() + lineEveryMs;
        const { runId, state, ok, failed, items, imagesPerSecond, etaSeconds, note } = report;
        log.info(state, { runId, ok, failed, items, imagesPerSecond, etaSeconds, note });
      }
    },
    end(report: RunReport) {
      erase();
      print(describeReport(report));
    },
  };
}
