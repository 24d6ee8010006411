/**
 * Progress on stderr: a bar on a terminal, a log line every few seconds elsewhere. Shown only; what is counted comes from
 * the run.
 */
import cliProgress from "cli-progress";
import type { RunProgress } from "../library/run.js";
import type { Terminal } from "./terminal.js";

export interface ProgressView {
  update(progress: RunProgress): void;
  stop(): void;
}

const lineEveryMs = 5_000;
/** Rates are taken over this long, so that a slow start is forgotten and one late chunk does not show. */
const rateWindowMs = 30_000;

/** What a progress line says beside the count. */
export interface ProgressFigures {
  readonly perSecond: number;
  /** Seconds to the end at this rate; null while the end or the rate is unknown. */
  readonly etaSeconds: number | null;
}

/** Follows `done` over time. */
export function createRateMeter(now: () => number): (progress: RunProgress) => ProgressFigures {
  const samples: { ms: number; done: number }[] = [];
  return ({ done, items }) => {
    samples.push({ ms: now(), done });
    while (samples.length > 2 && now() - (samples[0]?.ms ?? 0) > rateWindowMs) samples.shift();
    const [first] = samples;
    const seconds = first === undefined ? 0 : (now() - first.ms) / 1000;
    const perSecond = first === undefined || seconds === 0 ? 0 : Math.max(0, done - first.done) / seconds;
    const left = items === null ? null : items - done;
    const etaSeconds = left === null || perSecond === 0 ? null : Math.round(left / perSecond);
    return { perSecond: Math.round(perSecond * 10) / 10, etaSeconds };
  };
}

/** `DECODE_CORRUPT 2, FETCH_NOT_FOUND 1`, most frequent first. */
export function describeFailures(failuresByCode: Readonly<Record<string, number>>): string {
  const codes = Object.entries(failuresByCode).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return codes.map(([code, n]) => `${code} ${n}`).join(", ");
}

export function openProgress(terminal: Terminal): ProgressView {
  return terminal.stderr.isTTY ? openBar(terminal) : openLines(terminal);
}

function openBar(terminal: Terminal): ProgressView {
  const bars = new cliProgress.MultiBar(
    {
      stream: terminal.stderr,
      format: "{bar} {value}/{total} items  {perSecond}/s  ETA {left}{failures}",
      barsize: 30,
      hideCursor: true,
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  const meter = createRateMeter(() => performance.now());
  // Drawn from the first update on: before that the weights' download may write to the same line.
  const start = () => {
    terminal.interceptLines((line) => bars.log(line));
    return bars.create(0, 0, { perSecond: 0, left: "?", failures: "" });
  };
  let bar: cliProgress.SingleBar | null = null;
  let isStopped = false;
  return {
    update(progress) {
      if (isStopped) return;
      bar ??= start();
      const { perSecond, etaSeconds } = meter(progress);
      const failures = progress.failed === 0 ? "" : `  failed: ${describeFailures(progress.failuresByCode)}`;
      bar.setTotal(progress.items ?? progress.pinned);
      bar.update(progress.done, { perSecond, left: etaSeconds === null ? "?" : describeSeconds(etaSeconds), failures });
    },
    stop() {
      if (isStopped) return;
      isStopped = true;
      if (bar === null) return;
      // Writes the log lines that came since the last redraw; stopping alone would drop them.
      bars.update();
      bars.stop();
      terminal.interceptLines(null);
    },
  };
}

function openLines({ log }: Terminal): ProgressView {
  const meter = createRateMeter(() => performance.now());
  let nextMs = performance.now() + lineEveryMs;
  return {
    update(progress) {
      const figures = meter(progress);
      if (performance.now() < nextMs) return;
      nextMs = performance.now() + lineEveryMs;
      const { done, items, failed, failuresByCode } = progress;
      log.info(`${done} of ${items ?? "?"} items`, { done, items, ...figures, failed, failuresByCode });
    },
    stop() {},
  };
}

/** `42 s`, `3 min 20 s`, `5 h 3 min`. */
export function describeSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Calls `say` with the latest number, now and then: for work that says how far it is very often. */
export function everyFewSeconds(say: (count: number) => void): (count: number) => void {
  let nextMs = performance.now() + lineEveryMs;
  return (count) => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + lineEveryMs;
    say(count);
  };
}
