/**
 * The queue of scheduled starts: BullMQ job schedulers say that a schedule is due, and each start is a job that its executor
 * holds until the run has ended. An executor that dies lets go of its jobs when their locks run out, and another has them.
 * What a start is, and what became of it, is not here: `schedule-book.ts` knows, and a job that is lost is made again from it.
 */
import { Queue, WaitingError, Worker } from "bullmq";
import type { Log } from "../shared/log.js";
import type { Redis } from "../shared/redis.js";
import { schedulesPrefix } from "./schedule-book.js";
import { nextStart, type ScheduleTiming } from "./schedule-timing.js";

const queueName = "starts";
const done = { removeOnComplete: true, removeOnFail: true } as const;

/** BullMQ's own reading of cron lines starts some twice where clocks go back; see `schedule-timing.ts`. */
const settings = {
  repeatStrategy: (afterMs: number, { pattern }: { pattern?: string | undefined }) =>
    nextStart(JSON.parse(pattern ?? "") as ScheduleTiming, afterMs) ?? undefined,
};

export interface ScheduleQueue {
  /** Has the schedule announced at its starts from now on; changes nothing where it is already. */
  announce(name: string, timing: ScheduleTiming): Promise<void>;
  /** The schedules that are announced. */
  announced(): Promise<string[]>;
  silence(name: string): Promise<void>;
  /** Queues a start that is not queued yet. */
  queueStart(name: string, startMs: number): Promise<void>;
  close(): Promise<void>;
}

export function openScheduleQueue(redis: Redis): ScheduleQueue {
  const queue = new Queue(queueName, { connection: redis, prefix: schedulesPrefix, settings });
  // Commands carry their own errors; without a listener BullMQ would print the connection's.
  queue.on("error", () => {});
  return {
    async announce(name, timing) {
      const pattern = JSON.stringify(timing);
      const known = await queue.getJobScheduler(name);
      // Setting it again would replace a job that is due and not taken yet.
      if (known?.pattern === pattern && (known.next ?? 0) > 0) return;
      await queue.upsertJobScheduler(name, { pattern }, { name: "due", data: { name }, opts: done });
    },
    announced: async () => (await queue.getJobSchedulers()).map(({ key }) => key),
    silence: async (name) => void (await queue.removeJobScheduler(name)),
    async queueStart(name, startMs) {
      await queue.add("start", { name, startMs }, { ...done, jobId: `start-${startMs}-${name}` });
    },
    close: () => queue.close(),
  };
}

export interface ScheduleWorkerSettings {
  readonly redis: Redis;
  readonly lockMs: number;
  readonly log: Log;
  /** Where it aborts, what is in hand goes back: the callbacks reject. */
  readonly signal: AbortSignal;
  readonly onDue: (name: string) => Promise<void>;
  /** Called once more, perhaps elsewhere, where the process that was at it is gone. */
  readonly onStart: (name: string, startMs: number) => Promise<void>;
}

/** A start is held by waiting for it, which costs next to nothing. */
const mostInHand = 1_000;

/** Takes jobs from now on; to be closed. */
export function startScheduleWorker(given: ScheduleWorkerSettings): { close(): Promise<void> } {
  const { redis, lockMs, log, signal, onDue, onStart } = given;
  const worker = new Worker<{ name: string; startMs?: number }>(
    queueName,
    async (job, token) => {
      const { name, startMs } = job.data;
      try {
        await (startMs === undefined ? onDue(name) : onStart(name, startMs));
      } catch (error) {
        if (!signal.aborted) throw error;
        await job.moveToWait(token);
        throw new WaitingError();
      }
    },
    {
      connection: redis,
      prefix: schedulesPrefix,
      settings,
      concurrency: mostInHand,
      lockDuration: lockMs,
      stalledInterval: lockMs / 2,
      // A start is never given up by the queue.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
  );
  worker.on("error", (error) => log.debug("schedule queue", { error: error.message }));
  worker.on("failed", (_job, error) =>
    log.warn("a scheduled start is looked at again later", { error: error.message }),
  );
  return { close: () => worker.close() };
}
