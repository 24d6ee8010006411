import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, type Refusals } from "./refusals.js";

/** Longer than a busy disk takes for a few small files; all other runs wait for it. */
const visitWithinMs = 5_000;
const silentDataset = `its dataset or its record does not answer within ${visitWithinMs / 1000} s`;

/**
 * Visits of runs that do not hold each other up: a dataset on a mount that hangs is waited for once, and not visited again
 * until it has answered. What a visit throws is its run's refusal; the returned function never rejects.
 */
export function createVisitsInTime(
  visit: (runId: string) => Promise<void>,
  refusals: Refusals,
): (runId: string) => Promise<void> {
  const pending = new Set<string>();
  return async (runId) => {
    if (pending.has(runId)) return;
    pending.add(runId);
    let isLate = false;
    const visited = visit(runId)
      .then(() => void (isLate && refusals.forget(runId)))
      .catch((error: unknown) => refusals.add(runId, error))
      .finally(() => pending.delete(runId));
    isLate = !(await isSettledWithin(visited, visitWithinMs));
    if (isLate) refusals.add(runId, new Refusal(silentDataset, silentDataset));
  };
}

async function isSettledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const settled = new AbortController();
  const late = sleep(ms, false, { signal: settled.signal, ref: false }).catch(() => false);
  const isSettled = await Promise.race([work.then(() => true), late]);
  settled.abort();
  return isSettled;
}
