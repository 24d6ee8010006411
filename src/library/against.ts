/**
 * The earlier dataset that a run is against: it must be complete, and of rows that may stand beside new ones. Its rows are read
 * later, where an item has to be compared with them.
 */
import { readCurrentSummary } from "../dataset/current-rows.js";
import { type RunIdentity, readRunHead } from "../dataset/run-head.js";
import type { Summary } from "../dataset/summary.js";
import { type EarlierDataset, readEarlierRows } from "../producer/reprocess/earlier-rows.js";
import type { Against, PinnedModel } from "../producer/submission.js";
import { LabelmillError } from "../shared/errors.js";
import { itemClassWords } from "../shared/item-classes.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { CallContext } from "./context.js";
import { createDatasetOpener } from "./open-dataset.js";

/** What decides the values of a row that is carried over: with another value of one of them every row is stale. */
const rowDeciding = ["modelSha256", "preprocessSha256", "precision", "topK", "embedding"] as const;

/** A complete dataset, open to be compared with. */
export interface EarlierRun extends EarlierDataset {
  readonly summary: Summary;
}

/** Throws RUN_NOT_A_DATASET, RUN_SCHEMA, RUN_INCOMPLETE, RUN_CARRY, STORAGE_*, OPTION_INVALID. */
export async function openEarlierRun(context: CallContext, out: string): Promise<EarlierRun> {
  const storage = createDatasetOpener(context)(out);
  const head = await readRunHead(storage);
  if (head.identity.retry !== undefined) {
    const reason = `it is a retry of the dataset in ${head.identity.against?.out}; name that`;
    throw new LabelmillError("RUN_CARRY", { against: storage.location, reason });
  }
  const summary = await readCurrentSummary(storage);
  if (summary !== null) return { storage, head, summary };
  const reason = `there is no summary in ${storage.location}; repeat the command that made it, which finishes it`;
  throw new LabelmillError("RUN_INCOMPLETE", { runId: head.runId, reason });
}

/** What `--against` and its companions come to; null without. Throws as `openEarlierRun` does, RUN_STALE, OPTION_INVALID. */
export async function openAgainst(context: CallContext, model: PinnedModel): Promise<Against | null> {
  const { options, signal } = context;
  if (options.against === null) {
    requireNoCompanion(options);
    return null;
  }
  return compareWith(await openEarlierRun(context, options.against), { options, model, signal });
}

/** Throws RUN_STALE where rows of the dataset may not stand beside new ones, and `only` would have them do so. */
export function compareWith(
  { storage, head }: EarlierRun,
  { options, model, signal }: { options: ResolvedOptions; model: PinnedModel; signal: AbortSignal },
): Against {
  const only = options.only ?? itemClassWords;
  const differences = staleDifferences(head.identity, { ...options, ...model });
  if (differences.length > 0 && !only.includes("stale"))
    throw new LabelmillError("RUN_STALE", { against: storage.location, differences: differences.join(", ") });
  const { verifyBytes } = options;
  return {
    dataset: { out: storage.location, runId: head.runId, epoch: head.epoch },
    only,
    isStale: differences.length > 0,
    verifyBytes,
    open: () => readEarlierRows({ storage, head }, { withSha256: verifyBytes, signal }),
  };
}

function staleDifferences(
  earlier: RunIdentity,
  asked: Pick<RunIdentity, (typeof rowDeciding)[number]>,
): readonly string[] {
  const differing = rowDeciding.filter((name) => earlier[name] !== asked[name]);
  return differing.map((name) => `${name} ${earlier[name]} vs ${asked[name]} asked for`);
}

function requireNoCompanion({ only, verifyBytes }: ResolvedOptions): void {
  if (only === null && !verifyBytes) return;
  const [option, value] = only === null ? ["verifyBytes", "true"] : ["only", only.join(",")];
  const expected = "given together with --against, which names the dataset to compare with";
  throw new LabelmillError("OPTION_INVALID", { option, expected, value, from: "the command" });
}
