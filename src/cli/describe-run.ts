/** What `runs list` and `runs show` print for people; the library has the same as objects. */
import type { RunReport, RunStatus } from "../library/run-status.js";
import { describeFailures, describeSeconds } from "./progress.js";
import { formatTable } from "./table.js";

/** One line a run. */
export function describeRuns(runs: readonly RunStatus[]): string {
  if (runs.length === 0) return "No runs.";
  const header = ["run", "state", "priority", "done", "of", "failed", "images/s", "left", "dataset"];
  const rows = runs.map((run) => [
    run.runId,
    run.state,
    run.priority ?? "",
    doneOf(run) ?? "?",
    run.items ?? "?",
    run.failed ?? "?",
    run.imagesPerSecond ?? "",
    run.etaSeconds === null ? "" : describeSeconds(run.etaSeconds),
    run.out,
  ]);
  return formatTable(header, rows);
}

/** Everything about one run, a line for each thing that is known. */
export function describeReport(run: RunReport): string {
  const { chunks, stageSeconds, engines, workers } = run;
  const pinned = run.items === null && run.pinned !== null ? `, ${run.pinned} pinned so far` : "";
  const failures = run.failed ? ` (${describeFailures(run.failuresByCode)})` : "";
  const lines: [string, string | null][] = [
    ["run", run.runId],
    ["state", run.state],
    ["note", run.note],
    ["items", `${doneOf(run) ?? "?"} of ${run.items ?? "?"}${pinned}`],
    ["rows", run.ok === null ? null : `${run.ok} ok, ${run.failed} failed${failures}`],
    ["chunks", `${chunks.done} of ${chunks.pinned ?? "?"} done, ${chunks.waiting} waiting, ${chunks.inHand} in hand`],
    ["rate", run.imagesPerSecond === null ? null : `${run.imagesPerSecond} images/s${leftOf(run)}`],
    ["time spent", stageSeconds && describeStages(stageSeconds)],
    ["bound by", describeBound(run)],
    ["engines", engines.length === 0 ? null : engines.join(", ")],
    ["priority", run.priority === null ? null : String(run.priority)],
    ...workers.map(({ worker, refusal, secondsAgo }): [string, string] => [
      "worker",
      `${worker} ${refusal === null ? "serves it" : `refuses it: ${refusal}`} (${secondsAgo} s ago)`,
    ]),
    ["submitted", run.createdAt],
    ["last chunk", run.committedAt],
    ["ended", run.endedAt],
    ["redis", run.redis === null ? null : `${run.redis}${run.isPrivate ? " (private)" : ""}`],
    ["dataset", run.out],
  ];
  const known = lines.filter((line): line is [string, string] => line[1] !== null);
  return formatTable(["", ""], known).trimStart();
}

function doneOf({ ok, failed }: RunStatus): number | null {
  return ok === null || failed === null ? null : ok + failed;
}

function leftOf({ etaSeconds }: RunStatus): string {
  return etaSeconds === null ? "" : `, about ${describeSeconds(etaSeconds)} left`;
}

function describeStages(stages: NonNullable<RunReport["stageSeconds"]>): string {
  return Object.entries(stages)
    .map(([stage, seconds]) => `${stage} ${seconds} s`)
    .join(", ");
}

/** Below it no stage is to blame: the run is short, or waits for something else. */
const halfOfTheTime = 0.5;

/** "inference (93 % of the time); a GPU … would help", or null where nothing was measured. */
export function describeBound({
  boundBy,
  stageShares,
  precision = "int8",
}: Pick<RunReport, "boundBy" | "stageShares"> & { readonly precision?: string }): string | null {
  if (boundBy === null) return null;
  const share = stageShares[boundBy];
  if (share === undefined) return boundBy;
  const help = share < halfOfTheTime ? undefined : helpFor(boundBy, precision);
  return `${boundBy} (${Math.round(100 * share)} % of the time)${help === undefined ? "" : `; ${help}`}`;
}

function helpFor(stage: string, precision: string): string | undefined {
  const smaller = precision === "fp32" ? "--precision int8, " : "";
  const help: Readonly<Record<string, string>> = {
    inference: `${smaller}a GPU or more workers would help`,
    decode: "more cores or workers would help",
    fetch: "more --fetch-concurrency, --per-host or workers would help, or storage that is nearer",
  };
  return help[stage];
}
