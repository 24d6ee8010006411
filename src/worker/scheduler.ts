/**
 * Which run's chunk a worker takes next: of the runs with the highest priority the one that this process has served least,
 * in items, so that equal runs share it evenly however large their chunks are. Each worker decides for itself; shares that
 * are even in every process are even in all. It knows no locks and no work: that is the consumer, which calls it.
 */
import type { TakenChunk } from "./run-queue.js";
import type { ServedRun } from "./serving.js";

export interface NextChunk {
  readonly run: ServedRun;
  readonly taken: TakenChunk;
}

export interface Scheduler {
  /**
   * Looks for runs where it is time to, then takes a chunk that waits of a run with a priority above `above`. May be
   * repeated after an error.
   */
  next(above: number): Promise<NextChunk | null>;
  /** Takes nothing of `run` until the runs are looked for again. */
  forget(run: ServedRun): void;
  close(): Promise<void>;
}

const findRunsEveryMs = 1_000;

/** `findRuns` is called about once a second; a run that it no longer returns is closed once it is not in hand. */
export function createScheduler(
  findRuns: () => Promise<readonly ServedRun[]>,
  isInHand: (run: ServedRun) => boolean,
): Scheduler {
  const served = new Map<ServedRun, number>();
  const priorities = new Map<ServedRun, number>();
  const count = (run: ServedRun) => served.get(run) ?? 0;
  let current: readonly ServedRun[] = [];
  let refreshAtMs = 0;
  /**
   * Who comes new among equals, by submission or by another priority, starts level with them, else it would be served alone
   * until it has caught up, or not at all until they have.
   */
  const levelOf = (run: ServedRun): number => {
    const isEqual = (other: ServedRun) => other !== run && priorities.get(other) === run.priority();
    const equals = current.filter(isEqual);
    return equals.length === 0 ? 0 : Math.min(...equals.map(count));
  };
  const refresh = async (): Promise<void> => {
    if (performance.now() < refreshAtMs) return;
    current = await findRuns();
    refreshAtMs = performance.now() + findRunsEveryMs;
    for (const run of current) {
      if (priorities.get(run) !== run.priority()) served.set(run, levelOf(run));
      priorities.set(run, run.priority());
    }
    for (const run of served.keys()) {
      if (current.includes(run) || isInHand(run)) continue;
      served.delete(run);
      priorities.delete(run);
      await run.close();
    }
  };
  return {
    async next(above) {
      await refresh();
      const open = current.filter((run) => run.priority() > above);
      const idle: ServedRun[] = [];
      for (const run of open.sort((a, b) => b.priority() - a.priority() || count(a) - count(b))) {
        const taken = await run.queue.take();
        if (taken === null) {
          idle.push(run);
          continue;
        }
        // Who had nothing to do has no claim for that time, so it starts level as well.
        for (const each of idle) served.set(each, Math.max(count(each), count(run)));
        served.set(run, count(run) + run.chunkItems);
        return { run, taken };
      }
      return null;
    },
    forget(run) {
      current = current.filter((each) => each !== run);
    },
    async close() {
      for (const run of served.keys()) await run.close();
    },
  };
}
