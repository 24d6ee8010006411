/**
 * What a user may do to a run, and in which of its states: the table that `docs/operations.md` shows, that the tests try
 * cell by cell, and that the script which does it is given. `runs` calls it; workers and producers only see the states.
 */
import { LabelmillError } from "./errors.js";
import type { Redis } from "./redis.js";
import { leaveActiveRuns, leaveIndex } from "./run-index.js";
import { allRunKeys } from "./run-keys.js";
import { foreignRecord, type RunKey, type RunState, readRun } from "./run-record.js";
import { controlRunScript, runScript } from "./run-scripts.js";

export type RunCommand = "pause" | "resume" | "cancel" | "rm";
/** `interrupted`: the process that had the run and its private Redis is gone; what is left is the dataset. */
export type ShownState = RunState | "interrupted";

/** What a command does in one state. */
export type RunOutcome =
  | { readonly kind: "moves"; readonly to: string }
  /** Nothing is left to do: the command succeeds, so that it may be repeated. */
  | { readonly kind: "stays" }
  /** RUN_STATE with this reason, which ends in what to do instead. */
  | { readonly kind: "refused"; readonly reason: string };

const moves = (to: string): RunOutcome => ({ kind: "moves", to });
const stays: RunOutcome = { kind: "stays" };
const refused = (reason: string): RunOutcome => ({ kind: "refused", reason });

const allDone = "every row is there, and it completes by itself";
const complete = "there is nothing left to do; `labelmill results stats` reads its dataset";
const takeUp = "repeat the command that submitted it to take it up again";
const notHere = "no process has it in hand; repeat the command that started it to go on";
const cancelFirst = "wait for its end, or `labelmill runs cancel` it first";

export const controlTable: Readonly<Record<RunCommand, Readonly<Record<ShownState, RunOutcome>>>> = {
  pause: {
    enqueuing: moves("paused"),
    running: moves("paused"),
    paused: stays,
    finalizing: refused(allDone),
    completed: refused(complete),
    cancelled: refused(takeUp),
    interrupted: refused(notHere),
  },
  resume: {
    enqueuing: stays,
    running: stays,
    paused: moves("running, or enqueuing where its list is not pinned yet"),
    finalizing: stays,
    completed: refused(complete),
    cancelled: refused(takeUp),
    interrupted: refused(notHere),
  },
  cancel: {
    enqueuing: moves("cancelled"),
    running: moves("cancelled"),
    paused: moves("cancelled"),
    finalizing: moves("cancelled"),
    completed: refused(complete),
    cancelled: stays,
    interrupted: refused("no process has it in hand, so there is nothing to cancel; `labelmill runs rm` forgets it"),
  },
  rm: {
    enqueuing: refused(cancelFirst),
    running: refused(cancelFirst),
    paused: refused(cancelFirst),
    finalizing: refused(allDone),
    completed: moves("no record"),
    cancelled: moves("no record"),
    interrupted: moves("no record"),
  },
};

/** What became of a command. */
export interface RunChange {
  /** False where the run was in that state already. */
  readonly changed: boolean;
  readonly from: ShownState;
}

/** What the table says; throws RUN_STATE where it refuses. */
export function requireOutcome(command: RunCommand, runId: string, state: ShownState): RunChange {
  const outcome = controlTable[command][state];
  if (outcome.kind === "refused")
    throw new LabelmillError("RUN_STATE", { command, runId, state, reason: outcome.reason });
  return { changed: outcome.kind === "moves", from: state };
}

/**
 * Does the command to the run's record and the state of its queue; its jobs stay. Repeating it, also at the same time,
 * changes nothing. Throws RUN_STATE, and RUN_RECORD_LOST where the record is gone or of another epoch.
 */
export async function controlRun(redis: Redis, run: RunKey, command: RunCommand): Promise<RunChange> {
  const outcomes = Object.entries(controlTable[command]).flatMap(([state, { kind }]) => [state, kind]);
  const keys = allRunKeys(run.runId);
  const answer = await runScript(redis, controlRunScript, keys, [run.epoch, command, ...outcomes]);
  const [kind, from] = answer as [RunOutcome["kind"] | "foreign", RunState];
  if (kind === "foreign") throw foreignRecord(run);
  const change = requireOutcome(command, run.runId, from);
  if (command === "rm") await leaveIndex(redis, run.runId);
  if (command === "cancel") {
    const record = await readRun(redis, run.runId);
    if (record?.state === "cancelled") await leaveActiveRuns(redis, run.runId, record.keepMs);
  }
  return change;
}
