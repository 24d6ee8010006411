import { LabelmillError, messageOf } from "../shared/errors.js";
import type { Log } from "../shared/log.js";

/** Why a worker must not serve a run. The message is for its own log. */
export class Refusal extends Error {
  /** The same without paths and uris, for whoever may read Redis. */
  readonly shown: string;

  constructor(message: string, shown: string) {
    super(message);
    this.shown = shown;
  }
}

/** The runs that a worker leaves to others, and why; each reason is logged once. */
export interface Refusals {
  /** One run's trouble, a full disk under its dataset for example, is not the trouble of the others. */
  add(runId: string, error: unknown, forMs?: number): void;
  isResting(runId: string): boolean;
  /** What others may read of the reason, or undefined for a run that is not refused. */
  shownOf(runId: string): string | undefined;
  forget(runId: string): void;
  forgetAllBut(listed: readonly string[]): void;
}

export function createRefusals(log: Log): Refusals {
  const refused = new Map<string, { readonly reason: string; readonly shown: string; readonly untilMs: number }>();
  return {
    add(runId, error, forMs = 0) {
      const reason = messageOf(error);
      if (refused.get(runId)?.reason !== reason) log.warn("cannot serve a run; other workers may", { runId, reason });
      refused.set(runId, { reason, shown: shownReason(error), untilMs: performance.now() + forMs });
    },
    isResting: (runId) => performance.now() < (refused.get(runId)?.untilMs ?? 0),
    shownOf: (runId) => refused.get(runId)?.shown,
    forget: (runId) => void refused.delete(runId),
    forgetAllBut(listed) {
      for (const runId of refused.keys()) if (!listed.includes(runId)) refused.delete(runId);
    },
  };
}

function shownReason(error: unknown): string {
  if (error instanceof Refusal) return error.shown;
  const what = error instanceof LabelmillError ? error.code : "an unexpected error";
  return `it cannot use the run's dataset: ${what}; the worker's log has the rest`;
}
