import type { Command } from "commander";
import { type Plan, planRun } from "../library/plan.js";
import { addFlags, resolveFlags, sourceHelp } from "./flags.js";
import { invalid } from "./invalid-option.js";
import { describeFailures, describeSeconds, everyFewSeconds } from "./progress.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

const help = `
Examples:
  labelmill plan photos --against labels                       what is new, changed, failed, gone
  labelmill plan photos --against labels --model my-model      another model: every row is stale
  labelmill plan photos --against labels --only new,failed     what the same options of run would do
Then:
  labelmill run photos --against labels --only new,changed,failed --out labels-2

Nothing is fetched and nothing is written. Local files are compared by size and time (--verify-bytes: by their bytes); of items
on servers only these know, and are asked when the run comes to them.`;

/** `labelmill plan`. */
export function registerPlan(program: Command): void {
  const command = program
    .command("plan")
    .description("what a run over these sources would do and cost, compared with an earlier dataset, before it does it")
    .argument("<source...>", sourceHelp)
    .option("--json", "print the plan as one JSON object on stdout")
    .addHelpText("after", help);
  addFlags(command, "plan").action(async (sources: string[], { json, ...flags }: Record<string, unknown>) => {
    const options = await resolveFlags(flags);
    const { against } = options;
    if (against === null)
      throw invalid("against", "the dataset of an earlier run to compare with", "none", "--against");
    const terminal = openTerminal(options);
    const { log } = terminal;
    const signal = terminal.catchSignals();
    const onItem = everyFewSeconds((items) => log.info(`${items} items compared`));
    const plan = await planRun(sources, { ...options, against, log, signal, onItem });
    terminal.print(json === true ? JSON.stringify(plan) : describePlan(plan));
  });
}

function describePlan(plan: Plan): string {
  const { against, items, classes, failedByCode, gone, leftOut } = plan;
  const failed = classes.failed === 0 ? "" : describeFailures(failedByCode);
  const rows: (string | number)[][] = [
    ["new", classes.new, ""],
    ["changed", classes.changed, ""],
    ["stale", classes.stale, ""],
    ["failed", classes.failed, failed],
    ["unchanged", classes.unchanged, ""],
    ["unknown", classes.unknown, classes.unknown === 0 ? "" : "only their servers can tell"],
    ["gone", gone, gone === 0 ? "" : "of the earlier dataset, in none of the sources"],
    ...Object.entries(leftOut).map(([reason, n]) => ["left out", n, reason]),
  ];
  const head = `${items} items, compared with the ${against.items} rows of run ${against.runId} in ${against.out}`;
  return [head, formatTable(["class", "items", ""], rows), describeCost(plan)].join("\n");
}

function describeCost({ only, toDo, toAsk, bytes, unknownSizes, seconds, imagesPerSecond }: Plan): string {
  const unknown = unknownSizes === 0 ? "" : `, and ${unknownSizes} of unknown size`;
  const rate = imagesPerSecond === null ? "" : ` at the ${imagesPerSecond} images/s of that run`;
  const time = seconds === null || toDo === 0 ? "" : `, about ${describeSeconds(seconds)}${rate}`;
  const asks = toAsk === 0 ? "" : `, ${toAsk} to ask for`;
  return `--only ${only.join(",")}: ${toDo} to do${asks}; ${describeBytes(bytes)}${unknown}${time}`;
}

/** `812 bytes`, `1.3 MB`. */
function describeBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
