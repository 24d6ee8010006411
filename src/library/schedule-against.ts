/** `--against last` of a schedule: each start is a rerun against the newest dataset that the schedule has made. */
import { canonicalLocation } from "../dataset/storage/open-storage.js";
import { readStarts, type Schedule, type Start } from "../producer/schedule-book.js";
import type { Options, ResolvedOptions } from "../shared/options.js";
import type { Redis } from "../shared/redis.js";

const lastDataset = "last";

/** What a first start has: nothing to be against, so it makes every row. */
const againstNothing = { against: null, only: null, verifyBytes: false };

/** The dataset as another process, in another directory, finds it. Throws OPTION_INVALID. */
export function fixedAgainst(against: string | null, cwd: string): string | null {
  return against === null || against === lastDataset ? against : canonicalLocation(against, cwd);
}

/** Options by which a schedule is checked before it has made anything. */
export function withoutLast(options: ResolvedOptions): ResolvedOptions {
  return options.against === lastDataset ? { ...options, ...againstNothing } : options;
}

/** The schedule's options for one start. Done again for the same start, they are the same: only earlier ones are looked at. */
export async function optionsOfStart(redis: Redis, schedule: Schedule, { startMs }: Start): Promise<Options> {
  const options: Options = schedule.options;
  if (options.against !== lastDataset) return options;
  const earlier = (await readStarts(redis, schedule.name)).filter((start) => start.startMs < startMs);
  const last = earlier.filter(({ state }) => state === "completed").at(-1);
  return last === undefined ? { ...options, ...againstNothing } : { ...options, against: last.out };
}
