import { readSummary } from "../dataset/summary.js";
import { countItems, type ItemCounts } from "../producer/reprocess/plan.js";
import { openSources } from "../producer/source/open-source.js";
import { describeModel } from "../worker/model/describe-model.js";
import { compareWith, openEarlierRun } from "./against.js";
import { type CallContext, type CallOptions, resolveCall } from "./context.js";
import { sourcePlaceOf } from "./open-call.js";
import { readWebAccess } from "./web-access.js";

export interface PlanOptions extends CallOptions {
  /** Dataset of an earlier run, complete. */
  readonly against: string;
  /** Told how many items have been compared. */
  readonly onItem?: (items: number) => void;
}

/** What a run with the same options would do. */
export interface Plan extends ItemCounts {
  /** The dataset that is compared with. */
  readonly against: { readonly out: string; readonly runId: string; readonly items: number };
  /** What would be done again. */
  readonly only: readonly string[];
  readonly model: string;
  readonly modelSha256: string;
  /** At which the earlier run made its rows, with its model and workers; null where it made none. */
  readonly imagesPerSecond: number | null;
  /** What `toDo` takes at that rate. */
  readonly seconds: number | null;
}

/**
 * Counts what `run` with the same options would do, and does none of it: reads the sources and the earlier dataset, asks no
 * server of an item, and needs neither Redis nor weights. Throws `LabelmillError`: OPTION_*, RUN_*, STORAGE_*, MODEL_UNKNOWN.
 */
export async function planRun(sources: string | readonly string[], given: PlanOptions): Promise<Plan> {
  const { onItem: _, ...call } = given;
  const context = resolveCall(call);
  try {
    return await planIn(context, [sources].flat(), given);
  } finally {
    context.release();
  }
}

async function planIn(
  context: CallContext,
  sources: readonly string[],
  { against: out, onItem }: PlanOptions,
): Promise<Plan> {
  const { options, places, signal } = context;
  const model = await describeModel(places.cacheDir, options.model, options.precision);
  const earlier = await openEarlierRun(context, out);
  const against = compareWith(earlier, { options, model, signal });
  const place = sourcePlaceOf(context, await readWebAccess(options, places));
  const { source } = await openSources(sources, options, place);
  const counts = await countItems(source, against, { ...options, signal, onItem });
  const { summary, storage } = earlier;
  // Of the run itself: a retry of few rows is mostly its model's loading.
  const rate = (await readSummary(storage))?.imagesPerSecond || null;
  return {
    against: { out: against.dataset.out, runId: against.dataset.runId, items: summary.items },
    only: against.only,
    model: options.model,
    modelSha256: model.modelSha256,
    ...counts,
    imagesPerSecond: rate,
    seconds: rate === null ? null : Math.round((10 * counts.toDo) / rate) / 10,
  };
}
