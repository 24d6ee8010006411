import type { Command } from "commander";
import type { DeliveriesProgress } from "../library/deliveries.js";
import { type RunResult, type RunStart, run } from "../library/run.js";
import { openDeliveryProgress } from "./delivery-progress.js";
import { describeBound } from "./describe-run.js";
import { addFlags, resolveFlags, sourceHelp } from "./flags.js";
import { describeFailures, describeSeconds, openProgress } from "./progress.js";
import { openPullProgress } from "./pull-progress.js";
import { exitWithFailures, openTerminal } from "./terminal.js";

const examples = `
Examples:
  labelmill run photos                      every image below photos/, into ./labelmill-out/photos-<id>
  labelmill run photos --out s3://bucket/labels   the dataset in an object store
  labelmill run list.txt --out labels       one path, http(s) address or s3: uri a line
  labelmill run s3://photos/2026/           a bucket; --s3-endpoint for stores other than AWS
  labelmill run '2026/**/*.jpg' more.csv    any mix of sources; tables have the column --uri-column
  labelmill run 'shards/train-{0000..0099}.tar'   the images of tar shards, as WebDataset writes them
  find . -name '*.png' | labelmill run - --out labels
  labelmill run photos --sink postgres://me@db/images   rows go there as well, as parts are committed
  labelmill run photos --format jsonl --embedding none --json
  labelmill run photos --against labels --only new,changed,failed --out labels-2   a complete dataset again; see plan

The same command goes on where it was interrupted, and does nothing once the run is complete.
Exit status: 0 all ok, 1 the run failed (repeat the command to go on), 2 usage, 3 finished with failed rows, 130 interrupted.`;

/** `labelmill run`. */
export function registerRun(program: Command): void {
  const command = program
    .command("run")
    .description("label every image of the sources: enqueue, work, and wait for the dataset")
    .argument("<source...>", sourceHelp)
    .option("--json", "print the summary as one JSON object on stdout")
    .addHelpText("after", examples);
  addFlags(command, "run").action(async (sources: string[], { json, ...flags }: Record<string, unknown>) => {
    process.exitCode = await runCommand(sources, flags, json === true);
  });
}

async function runCommand(sources: string[], flags: Record<string, unknown>, asJson: boolean): Promise<number> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const { log } = terminal;
  const signal = terminal.catchSignals();
  const progress = openProgress(terminal);
  const delivery = openDeliveryProgress(terminal);
  const { model, precision } = options;
  const onStart = ({ runId, ...start }: RunStart) => log.info("run started", { runId, model, precision, ...start });
  try {
    const onDelivery = (update: DeliveriesProgress) => {
      progress.stop();
      delivery.update(update);
    };
    const hooks = { log, signal, onStart, onDelivery, onProgress: progress.update, onPull: openPullProgress(terminal) };
    const result = await run(sources, { ...options, ...hooks });
    progress.stop();
    delivery.stop();
    if (asJson && result.grown !== null) log.info(describeGrown(result.grown, result.summary.out));
    terminal.print(asJson ? JSON.stringify(result.summary) : describeResult(result));
    return result.summary.failed > 0 ? exitWithFailures : 0;
  } finally {
    progress.stop();
    delivery.stop();
  }
}

function describeResult({ summary, wasComplete, grown }: RunResult): string {
  const { items, ok, failed, failuresByCode, duplicates, carried, seconds, imagesPerSecond, out } = summary;
  const failures = failed === 0 ? "" : ` (${describeFailures(failuresByCode)})`;
  const speed = `in ${describeSeconds(seconds)}, ${imagesPerSecond} images/s`;
  const limit = describeBound(summary);
  const bound = limit === null ? "" : `, bound by ${limit}`;
  const more = grown === null ? "nothing to do" : describeGrown(grown, out);
  const head = wasComplete ? `Complete already; ${more}.\n` : "";
  const saved = duplicates === 0 ? "" : `\n${describeDuplicates(duplicates, ok)}`;
  const kept = carried === 0 ? "" : `\n${carried} of ${items} rows carried over from the earlier dataset`;
  return `${head}${items} items: ${ok} ok, ${failed} failed${failures}; ${speed}${bound}${saved}${kept}\nDataset: ${out}`;
}

/** What a finished run's sources have become, and what to do about it. */
function describeGrown(grown: NonNullable<RunResult["grown"]>, out: string): string {
  const found = (["new", "changed"] as const).filter((itemClass) => grown[itemClass] > 0);
  if (found.length === 0) return "nothing is new or changed";
  const counts = found.map((itemClass) => `${grown[itemClass]} ${itemClass}`).join(" and ");
  return `${counts} items: --only ${found.join(",")} --against ${out} and another --out make a complete dataset of them too`;
}

function describeDuplicates(duplicates: number, ok: number): string {
  const share = ((100 * duplicates) / ok).toFixed(1);
  return `${duplicates} of ${ok} labelled images had the same bytes as another: ${share} % of the model's work saved`;
}
