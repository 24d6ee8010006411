/**
 * The deliveries of one run: one loop a sink, beside whatever else this process does for the run. They outlive a sink that
 * is down, and never hold up nor fail the run itself; what is left at its end is waited for here. Composed by `run`, `work`
 * and `results push`.
 */
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { type DeliveryProgress, deliverParts, type Patience } from "../delivery/deliver.js";
import type { SinkTarget } from "../delivery/sink-target.js";
import { LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";

/** Of all sinks together. */
export type DeliveriesProgress = DeliveryProgress;

export interface DeliveriesSettings {
  readonly targets: readonly SinkTarget[];
  readonly storage: Storage;
  readonly head: RunHead;
  readonly log: Log;
  readonly until: "committed" | "complete";
  readonly onProgress?: (progress: DeliveriesProgress) => void;
}

export interface Deliveries {
  /**
   * Resolves when every sink has every part. From now on a sink that refuses, or takes nothing for `timeoutMs`, is given up; then
   * this rejects with SINK_BEHIND, after the other sinks have everything.
   */
  finish(timeoutMs: number): Promise<void>;
  /** Ends what is under way; the sinks undo what is not whole. Resolves when it has ended. */
  stop(): Promise<void>;
  /** Resolves when all have ended, however: whether every sink has every part. */
  readonly ended: Promise<boolean>;
}

/** Starts to deliver. Connects when it can: a sink that is not there is a line in the log. */
export function startDeliveries(settings: DeliveriesSettings): Deliveries {
  const { targets, storage, log, onProgress = () => {} } = settings;
  const controller = new AbortController();
  let patience: Patience | null = null;
  const states = new Map<SinkTarget, DeliveryProgress>();
  const tasks = targets.map((target) => {
    const onOne = (progress: DeliveryProgress) => {
      states.set(target, progress);
      onProgress(sum([...states.values()]));
    };
    const own = { target, patience: () => patience, onProgress: onOne, signal: controller.signal };
    return deliverParts({ ...settings, ...own });
  });
  const settled = Promise.allSettled(tasks);
  tasks.forEach((task, i) => {
    // Said when it happens, where `finish` comes later or never.
    task.catch((error: unknown) => {
      if (!controller.signal.aborted && patience === null)
        log.error(`delivery ended: ${messageOf(error)}`, { sink: targets[i]?.name });
    });
  });
  return {
    ended: settled.then((results) => results.every(({ status }) => status === "fulfilled")),
    async finish(timeoutMs) {
      patience = { fromMs: performance.now(), ms: timeoutMs };
      const results = await settled;
      const failures = results.flatMap((result, i) => {
        const target = targets[i];
        return result.status === "fulfilled" || target === undefined
          ? []
          : [{ target, error: result.reason as unknown }];
      });
      if (failures.length > 0) throw behind(storage, failures, states);
    },
    async stop() {
      controller.abort(new LabelmillError("RUN_INTERRUPTED"));
      await settled;
    },
  };
}

interface FailedDelivery {
  readonly target: SinkTarget;
  readonly error: unknown;
}

/** One error for all sinks that are behind, with the command that goes on. */
function behind(
  storage: Storage,
  failures: readonly FailedDelivery[],
  states: ReadonlyMap<SinkTarget, DeliveryProgress>,
): LabelmillError {
  const [first] = failures;
  // An interrupt, or a dataset that is gone: not the sink's doing.
  if (first?.error instanceof LabelmillError && !/^(SINK|STORAGE)_/.test(first.error.code)) return first.error;
  const reason = failures.map(({ target, error }) => {
    const state = states.get(target);
    const count = state === undefined ? "" : ` (${state.delivered} of ${state.parts} parts are there)`;
    return `${messageOf(error)}${count}`;
  });
  const to = failures.map(({ target }) => `--to ${quote(target.name)}`).join(" ");
  const remedy = `\`labelmill results push ${quote(storage.location)} ${to}\``;
  return new LabelmillError("SINK_BEHIND", { reason: reason.join("; "), remedy }, { cause: first?.error });
}

function sum(all: readonly DeliveryProgress[]): DeliveriesProgress {
  const add = (key: keyof DeliveryProgress) => all.reduce((total, one) => total + one[key], 0);
  return { parts: add("parts"), delivered: add("delivered") };
}

/** For a shell, where it is needed. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
