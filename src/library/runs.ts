/**
 * The runs that are there: what they do, and what a user does to them. Each call finds the run anew, by its id or the
 * beginning of it, in the Redis of `redisUrl` and in the private ones of this machine.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { dropQueue } from "../producer/chunk-queue.js";
import { isCode } from "../shared/errors.js";
import { controlRun, type RunChange, type RunCommand, requireOutcome, type ShownState } from "../shared/run-control.js";
import { forgetServer, writeWish } from "../shared/server-registry.js";
import { type CallContext, type CallOptions, resolveCall } from "./context.js";
import { type FoundRun, type LeftRun, type LiveRun, pickRun, withRuns } from "./find-runs.js";
import { createDatasetOpener } from "./open-dataset.js";
import { type RunReport, type RunStatus, readReport, readStatus } from "./run-status.js";

export type RunsOptions = Pick<
  CallOptions,
  "redisUrl" | "log" | "signal" | "s3Endpoint" | "s3Region" | "s3Credentials"
>;

/** What a command did to a run. */
export interface RunControl {
  readonly runId: string;
  /** The state that the command found. */
  readonly from: ShownState;
  /** False where the run was as wanted already. */
  readonly changed: boolean;
  readonly out: string;
}

/** Every run with a record, and those of this machine whose private Redis is gone. Throws REDIS_*. */
export function listRuns(given: RunsOptions = {}): Promise<RunStatus[]> {
  return inCall(given, (context) =>
    withRuns(context, (runs) => Promise.all(runs.map((each) => readStatus(each, createDatasetOpener(context))))),
  );
}

/** Throws RUN_UNKNOWN, RUN_AMBIGUOUS and REDIS_*, as do the calls below. */
export function showRun(run: string, given: RunsOptions = {}): Promise<RunReport> {
  return inCall(given, (context) => withRun(context, run, reportIn(context)));
}

/** Workers take no more chunks of the run, and finish what they have in hand; its list is pinned further. Throws RUN_STATE. */
export function pauseRun(run: string, given: RunsOptions = {}): Promise<RunControl> {
  return control("pause", run, given);
}

/** Throws RUN_STATE. */
export function resumeRun(run: string, given: RunsOptions = {}): Promise<RunControl> {
  return control("resume", run, given);
}

/**
 * Ends the run where it is: its queue is removed, and its dataset is left valid, without a summary. The same `run` or
 * `enqueue` takes it up again later. Throws RUN_STATE.
 */
export function cancelRun(run: string, given: RunsOptions = {}): Promise<RunControl> {
  return control("cancel", run, given);
}

/** Removes the record of a run that has ended; its dataset stays. Throws RUN_STATE. */
export function removeRun(run: string, given: RunsOptions = {}): Promise<RunControl> {
  return control("rm", run, given);
}

/** Calls `onReport` with what the run is up to every `everyMs` (a second), and resolves with the last one once it has ended. */
export function watchRun(
  run: string,
  given: RunsOptions & { readonly everyMs?: number; readonly onReport?: (report: RunReport) => void } = {},
): Promise<RunReport> {
  const { everyMs = 1_000, onReport = () => {}, ...call } = given;
  return inCall(call, async (context) => {
    let last: RunReport | null = null;
    while (last === null || !isOver(last)) {
      context.signal.throwIfAborted();
      const report = await lookAgain(context, run, last);
      if (report !== null) onReport(report);
      last = report ?? last;
      if (last === null || !isOver(last)) await pause(everyMs, context.signal);
    }
    return last;
  });
}

const isOver = ({ state }: RunReport) => state === "completed" || state === "cancelled" || state === "interrupted";

/** A private server goes with its run, and a record may expire: then the dataset tells how it ended. Null: look again. */
async function lookAgain(context: CallContext, run: string, last: RunReport | null): Promise<RunReport | null> {
  try {
    return await withRun(context, last?.runId ?? run, reportIn(context));
  } catch (error) {
    // The server went while it was asked.
    if (isCode(error, "REDIS_SERVER_FAILED")) return null;
    if (last === null || !isCode(error, "RUN_UNKNOWN")) throw error;
    return reportIn(context)({ runId: last.runId, redis: null, out: last.out, dataDir: "", wish: null });
  }
}

/** Ends early where the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

const reportIn = (context: CallContext) => (run: FoundRun) => readReport(run, createDatasetOpener(context));

async function inCall<T>(given: RunsOptions, action: (context: CallContext) => Promise<T>): Promise<T> {
  const context = resolveCall(given);
  try {
    return await action(context);
  } finally {
    context.release();
  }
}

function withRun<T>(context: CallContext, given: string, action: (run: FoundRun) => Promise<T>): Promise<T> {
  return withRuns(context, (runs) => action(pickRun(runs, given, context.options.redisUrl !== null)));
}

function control(command: RunCommand, given: string, options: RunsOptions): Promise<RunControl> {
  return inCall(options, (context) =>
    withRun(context, given, async (run) => {
      const change = run.redis === null ? await controlLeft(run, command, context) : await controlLive(run, command);
      return { runId: run.runId, ...change, out: run.redis === null ? run.out : run.record.out };
    }),
  );
}

async function controlLive({ redis, record, runId, dataDir }: LiveRun, command: RunCommand): Promise<RunChange> {
  if (command === "rm") {
    requireOutcome(command, runId, record.state);
    // First: with the record its lists go, and without those nothing finds the jobs.
    await dropQueue(redis, record);
    return controlRun(redis, record, command);
  }
  // Between the move and the note the server may end; noted before, a refused command would be noted too.
  const change = await controlRun(redis, record, command);
  if (dataDir !== null) await writeWish(dataDir, wishes[command]);
  if (command === "cancel") await dropQueue(redis, record);
  return change;
}

const wishes = { pause: "paused", resume: null, cancel: "cancelled" } as const;

async function controlLeft(run: LeftRun, command: RunCommand, context: CallContext): Promise<RunChange> {
  const { state } = await reportIn(context)(run);
  const change = requireOutcome(command, run.runId, state);
  if (command === "rm") await forgetServer(run.dataDir);
  return change;
}
