/** The library: what `import … from "labelmill"` gives. The commands of `cli/` are made of the same calls. */

export type { Row } from "../dataset/row.js";
export type { RunIdentity } from "../dataset/run-head.js";
export type { Summary } from "../dataset/summary.js";
export { type ErrorCode, LabelmillError } from "../shared/errors.js";
export { createLog, type Log } from "../shared/log.js";
export type { Options } from "../shared/options.js";
export type { CalibrationReport } from "../worker/calibrate.js";
export type { Worker } from "../worker/start.js";
export type { CallOptions } from "./context.js";
export { type Diff, type DiffOptions, diffResults } from "./diff.js";
export { type EnqueueOptions, type EnqueueResult, enqueue } from "./enqueue.js";
export { type Exporter, exportMetrics } from "./exporter.js";
export { openResults, type Results } from "./open-results.js";
export { type Plan, type PlanOptions, planRun } from "./plan.js";
export { type PushOptions, type PushResult, pushResults } from "./push-results.js";
export { quantize } from "./quantize.js";
export { type RetryOptions, type RetryResult, retryRun } from "./retry.js";
export { type RunOptions, type RunProgress, type RunResult, type RunStart, run } from "./run.js";
export { runSchedules } from "./run-schedules.js";
export type { RunReport, RunStatus } from "./run-status.js";
export {
  cancelRun,
  listRuns,
  pauseRun,
  type RunControl,
  type RunsOptions,
  removeRun,
  resumeRun,
  showRun,
  watchRun,
} from "./runs.js";
export type { ScheduledStart } from "./scheduled-out.js";
export {
  type AddedSchedule,
  addSchedule,
  listSchedules,
  removeSchedule,
  type ScheduleOptions,
  type ScheduleStatus,
  showSchedule,
} from "./schedules.js";
export { startWorker } from "./work.js";
