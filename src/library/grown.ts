import { readRunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readEarlierRows } from "../producer/reprocess/earlier-rows.js";
import { countItems } from "../producer/reprocess/plan.js";
import { stdinName } from "../producer/source/open-source.js";
import type { Submission } from "../producer/submission.js";
import { LabelmillError } from "../shared/errors.js";
import { itemClassWords } from "../shared/item-classes.js";
import type { CallContext } from "./context.js";

/** What the sources of a complete dataset hold that it lacks. */
export interface Grown {
  readonly new: number;
  /** Local files with another size or time. */
  readonly changed: number;
}

/** A command that has nothing to do ends by then. */
const mostMs = 10_000;

/**
 * What the sources have become since the dataset in `storage` was complete; null where that is not known: they cannot be read
 * (again), or not in 10 s, or are a sample, or the dataset was made against another. Throws the signal's reason.
 */
export async function findGrown(
  { log, signal }: CallContext,
  { source, identity }: Submission,
  storage: Storage,
): Promise<Grown | null> {
  const { sources, sample, against } = identity;
  if (sources.includes(stdinName) || sample !== null || against !== undefined) return null;
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(mostMs)]);
  try {
    const head = await readRunHead(storage);
    const open = () => readEarlierRows({ storage, head }, { withSha256: false, signal: bounded });
    const comparing = { only: itemClassWords, isStale: false, verifyBytes: false, open };
    const { classes } = await countItems(source, comparing, { ...identity, signal: bounded });
    return { new: classes.new, changed: classes.changed };
  } catch (error) {
    signal.throwIfAborted();
    if (!bounded.aborted && !(error instanceof LabelmillError)) throw error;
    log.info("not known whether the sources hold more by now; labelmill plan tells", {
      reason: bounded.aborted ? `more than ${mostMs / 1000} s` : error,
    });
    return null;
  }
}
