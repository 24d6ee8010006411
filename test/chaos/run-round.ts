import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countExecutions, type Executions, judgeDataset } from "./oracle.js";
import { preparePlace } from "./processes.js";
import { createRandom } from "./random.js";
import { type Kind, rounds } from "./rounds.js";

export interface RoundResult {
  /** What was done to the run, in words. */
  readonly told: string;
  readonly again: Executions;
  readonly seconds: number;
}

/** Does one round and judges it. Where it fails, the error names the directory, which stays. */
export async function runRound(kind: Kind, { seed, items }: { seed: number; items: number }): Promise<RoundResult> {
  const startedMs = Date.now();
  const dir = await mkdtemp(join(tmpdir(), "lm-chaos-"));
  try {
    const place = await preparePlace(dir, items);
    const { told, failed } = await rounds[kind](place, createRandom(seed));
    await judgeDataset(place.out, items, failed);
    const again = await countExecutions(place.log, items);
    await rm(dir, { recursive: true });
    return { told, again, seconds: Math.round((Date.now() - startedMs) / 100) / 10 };
  } catch (error) {
    throw new Error(`round ${kind} with seed ${seed} failed; see ${dir}`, { cause: error });
  }
}
