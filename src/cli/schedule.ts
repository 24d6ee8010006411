import { type Command, Option } from "commander";
import { runSchedules } from "../library/run-schedules.js";
import {
  addSchedule,
  listSchedules,
  removeSchedule,
  type ScheduleOptions,
  showSchedule,
} from "../library/schedules.js";
import { catchUps, overlaps } from "../producer/schedule-book.js";
import { describeSchedule, describeSchedules } from "./describe-schedule.js";
import { addFlags, resolveFlags, sourceHelp } from "./flags.js";
import { parseInteger } from "./invalid-option.js";
import { openTerminal, type Terminal } from "./terminal.js";

type Flags = Record<string, unknown>;

const groupHelp = `
Schedules are kept in the Redis of --redis-url (or REDIS_URL); workers there do the runs.
Examples:
  labelmill schedule add nightly /data/photos --cron "30 2 * * *" --time-zone Europe/Berlin --out /data/labels
  labelmill schedule run                    executes them; several may run, one acts
  labelmill schedule show nightly           what became of its last starts
What exactly happens when: docs/operations.md`;

/** `labelmill schedule add|list|show|run|rm`. */
export function registerSchedule(program: Command): void {
  const schedule = program
    .command("schedule")
    .description("runs that start by the clock")
    .addHelpText("after", groupHelp);
  registerAdd(schedule);
  addFlags(schedule.command("list"), "schedule")
    .description("all schedules: when they start next, and how the last start ended")
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", "\nExample:\n  labelmill schedule list --redis-url redis://queue:6379")
    .action(async (flags: Flags) => {
      const { terminal, call } = await open(flags);
      const schedules = await listSchedules(call);
      terminal.print(flags.json === true ? JSON.stringify({ schedules }) : describeSchedules(schedules));
    });
  addFlags(schedule.command("show"), "schedule")
    .description("one schedule: its next five starts, and the last fifty with what became of them")
    .argument("<name>", nameHelp)
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", "\nExample:\n  labelmill schedule show nightly --json")
    .action(async (name: string, flags: Flags) => {
      const { terminal, call } = await open(flags);
      const found = await showSchedule(name, call);
      terminal.print(flags.json === true ? JSON.stringify(found) : describeSchedule(found));
    });
  addFlags(schedule.command("run"), "schedule")
    .description("execute the schedules until SIGTERM or SIGINT: submit each start's run, and follow it to its end")
    .addHelpText("after", `\nExample:\n  labelmill schedule run --redis-url redis://queue:6379\n${runHelp}`)
    .action(runCommand);
  addFlags(schedule.command("rm"), "schedule")
    .description("forget a schedule; a run that it started goes on, and datasets stay")
    .argument("<name>", nameHelp)
    .option("--json", "print what was done as one JSON object on stdout")
    .addHelpText("after", "\nExample:\n  labelmill schedule rm nightly")
    .action(async (name: string, flags: Flags) => {
      const { terminal, call } = await open(flags);
      const removed = await removeSchedule(name, call);
      terminal.print(
        flags.json === true ? JSON.stringify(removed) : `Schedule ${name} is forgotten; its datasets stay.`,
      );
    });
}

const nameHelp = "name of a schedule";
const runHelp = `
Credentials (S3, headers of web servers) are those of this process; all else is the schedule's. Exit status: 0 after a
signal, 1 where it cannot go on, 2 usage.`;

const addHelp = `
Takes the sources and options of \`labelmill enqueue\`, and checks them now. --out may hold {start}, the moment of the start
in UTC, or {date}, its day in the time zone; without either, {start} is added to it (default: labelmill-out/NAME).
--limit caps the items of each start. Adding the same again changes nothing.
Examples:
  labelmill schedule add nightly /data/photos --cron "30 2 * * *" --time-zone Europe/Berlin --out "/data/labels/{date}"
  labelmill schedule add often s3://bucket/new --every 30m --quiet 08:00-18:00 --overlap queue`;

function registerAdd(schedule: Command): void {
  const command = schedule
    .command("add")
    .description("add a schedule, or replace the one of that name")
    .argument("<name>", "name of the schedule: letters, digits, `.`, `-` and `_`")
    .argument("<source...>", sourceHelp)
    .option("--cron <line>", "minute, hour, day of month, month, day of week: `30 2 * * *`")
    .option("--every <duration>", "interval instead, counted from 1970 in UTC: 30m, 6h, 1d")
    .option("--time-zone <name>", "whose clock --cron, --quiet and {date} go by (default: UTC)")
    .option("--quiet <from-to>", "times of the day in which nothing starts: 22:00-06:00 (default: none)")
    .addOption(
      new Option("--overlap <what>", "at a start while an earlier one is at work (default: skip)").choices(overlaps),
    )
    .addOption(
      new Option(
        "--catch-up <what>",
        "do none, one (the last) or all of the starts that were missed (default: one)",
      ).choices(catchUps),
    )
    .option("--catch-up-limit <n>", "most starts that --catch-up all does, the latest (default: 10)")
    .option("--json", "print the schedule as one JSON object on stdout")
    .addHelpText("after", addHelp);
  addFlags(command, "enqueue").action(addCommand);
}

async function addCommand(name: string, sources: string[], given: Flags): Promise<void> {
  const { json, cron, every, timeZone, quiet, overlap, catchUp, catchUpLimit, ...flags } = given;
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const words = { cron, every, timeZone, quiet, overlap, catchUp } as Partial<ScheduleOptions>;
  const limit = catchUpLimit === undefined ? undefined : parseInteger("catchUpLimit", String(catchUpLimit), 1, 40);
  const call = { log: terminal.log, signal: terminal.catchSignals() };
  const added = await addSchedule(sources, { ...options, ...words, ...call, name, catchUpLimit: limit });
  const said = { added: "Added.", changed: "Changed.", unchanged: "There already, nothing to do." }[added.change];
  terminal.print(json === true ? JSON.stringify(added) : `${said}\n${describeSchedule(added)}`);
}

async function runCommand(flags: Flags): Promise<void> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const signal = terminal.catchSignals();
  const running = runSchedules({ ...options, log: terminal.log, signal });
  terminal.log.info("executing schedules");
  await running;
  terminal.log.info("no longer executing schedules");
}

async function open({ json, ...flags }: Flags): Promise<{ terminal: Terminal; call: { redisUrl: string | null } }> {
  const options = await resolveFlags(flags);
  return { terminal: openTerminal(options), call: { redisUrl: options.redisUrl } };
}
