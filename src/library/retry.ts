/**
 * `retryRun`: makes the failed rows of a complete dataset again, in the dataset itself. A retry is a run over the same pinned
 * items, which lies in `retry-0001/` of the dataset and carries over what it does not make; readers take it for the dataset from
 * the moment that it is complete (`dataset/current-rows.ts`). So nothing that was committed is replaced.
 */
import { listRetries, readCurrentSummary } from "../dataset/current-rows.js";
import { retryPath, runHeadPath } from "../dataset/layout.js";
import { type RunIdentity, readRunHead } from "../dataset/run-head.js";
import { readSummary } from "../dataset/summary.js";
import { openRetrySource } from "../producer/reprocess/retry-source.js";
import { openSources } from "../producer/source/open-source.js";
import { isCode, LabelmillError } from "../shared/errors.js";
import { isItemCode, openOnly } from "../shared/item-classes.js";
import { describeModel } from "../worker/model/describe-model.js";
import { type EarlierRun, openEarlierRun } from "./against.js";
import { type CallContext, resolveCall } from "./context.js";
import { pickRun, withRuns } from "./find-runs.js";
import { sourcePlaceOf } from "./open-call.js";
import { createDatasetOpener } from "./open-dataset.js";
import { type RunOptions, type RunResult, runSubmission } from "./run.js";
import { readWebAccess } from "./web-access.js";

export interface RetryOptions extends RunOptions {
  /** Rows that failed with one of these codes. @default every row that failed */
  readonly codes?: readonly string[];
}

export interface RetryResult extends RunResult {
  /** Rows that had failed so, and were made again. */
  readonly retried: number;
}

/**
 * Makes failed rows of the run's dataset again, with the model that it was made with, and waits for them. `run` is a run's id, or
 * the beginning of it, or the directory of its dataset. The same call goes on where it was interrupted. Throws
 * `LabelmillError`: RUN_RETRY, RUN_INCOMPLETE, RUN_UNKNOWN, and as `run` does.
 */
export async function retryRun(run: string, given: RetryOptions = {}): Promise<RetryResult> {
  const { onProgress = () => {}, onStart = () => {}, codes = null, ...call } = given;
  const only = codes === null ? ["failed"] : [...new Set(codes.map(onlyCode))].sort();
  const finding = resolveCall(call);
  try {
    const earlier = await openEarlierRun(finding, await findDataset(finding, run));
    const { model, precision } = earlier.head.identity;
    const context = { ...finding, options: { ...finding.options, model, precision } };
    return await retryIn(context, earlier, { only, onProgress, onStart });
  } finally {
    finding.release();
  }
}

function onlyCode(code: string): string {
  if (isItemCode(code)) return `failed:${code}`;
  const expected = "a code of failed rows, as FETCH_TIMEOUT (docs/errors.md has them all)";
  throw new LabelmillError("OPTION_INVALID", { option: "codes", expected, value: code, from: "--where" });
}

/** The dataset that `given` is, or that of the run which it names. */
async function findDataset(context: CallContext, given: string): Promise<string> {
  const openStorage = createDatasetOpener(context);
  const isPlace = given !== "" && (await openStorage(given).size(runHeadPath)) !== null;
  const out = isPlace
    ? given
    : await withRuns(context, async (runs) => {
        const run = pickRun(runs, given, context.options.redisUrl !== null);
        return run.redis === null ? run.out : run.record.out;
      });
  const { retry, against } = (await readRunHead(openStorage(out))).identity;
  return retry === undefined || against === undefined ? out : against.out;
}

async function retryIn(
  context: CallContext,
  earlier: EarlierRun,
  { only, ...hooks }: { readonly only: readonly string[] } & Required<Pick<RunOptions, "onProgress" | "onStart">>,
): Promise<RetryResult> {
  const { options, places } = context;
  const { storage, head, summary } = earlier;
  const { hasCode } = openOnly(only);
  const retried = Object.entries(summary.failuresByCode).reduce((sum, [code, n]) => sum + (hasCode(code) ? n : 0), 0);
  if (retried === 0) return { summary, wasComplete: true, grown: null, retried };
  await requireSameModel(context, earlier);
  const web = await readWebAccess(options, places);
  const number = await numberOfNext(context, earlier);
  const against = { out: storage.location, runId: head.runId, epoch: head.epoch };
  const roots = await rootsOf(context, head.identity, web);
  const submission = {
    source: openRetrySource(earlier, { only, before: number, roots }),
    identity: { ...head.identity, against, only, retry: number },
    out: `${storage.location}/${retryPath(number)}`,
  };
  const result = await runSubmission(context, submission, { web, name: storage.location, ...hooks }).catch(
    async (error: unknown) => {
      throw isCode(error, "RUN_IDENTITY") ? await otherBegun(context, earlier, submission.out, error) : error;
    },
  );
  return { ...result, summary: (await readCurrentSummary(storage)) ?? result.summary, retried };
}

/** One that was begun is gone on with: with other codes it is another run, and is refused. */
async function numberOfNext(context: CallContext, { storage }: EarlierRun): Promise<number> {
  const last = (await listRetries(storage)).at(-1);
  if (last === undefined) return 1;
  const isComplete =
    (await readSummary(createDatasetOpener(context)(`${storage.location}/${retryPath(last)}`))) !== null;
  return isComplete ? last + 1 : last;
}

/** Of a retry that was begun otherwise: with other codes, or before the dataset was moved. */
async function otherBegun(context: CallContext, { storage }: EarlierRun, out: string, cause: LabelmillError) {
  const { only = [], against } = (await readRunHead(createDatasetOpener(context)(out))).identity;
  const reason = `the retry in ${out} was begun and is not complete, and it is of ${only.join(", ")} in ${against?.out}; repeat that one to its end, or remove its folder, which no reader heeds`;
  return new LabelmillError("RUN_RETRY", { out: storage.location, reason }, { cause });
}

async function requireSameModel({ options, places }: CallContext, { head, storage }: EarlierRun): Promise<void> {
  const found = await describeModel(places.cacheDir, options.model, options.precision);
  const { modelSha256, preprocessSha256 } = head.identity;
  if (found.modelSha256 === modelSha256 && found.preprocessSha256 === preprocessSha256) return;
  const reason = `its rows are of model ${options.model} with digests ${modelSha256} and ${preprocessSha256}, and the one in the cache has ${found.modelSha256} and ${found.preprocessSha256}; make a new dataset with run --against`;
  throw new LabelmillError("RUN_RETRY", { out: storage.location, reason });
}

/** Directories that the items' files lie in: those of the sources, which must be there for that, unless the caller names some. */
async function rootsOf(
  context: CallContext,
  identity: RunIdentity,
  web: Parameters<typeof sourcePlaceOf>[1],
): Promise<readonly string[]> {
  const { options, places } = context;
  if (options.allowRoot.length > 0) return [];
  const isStdin = (source: string) => source === "-";
  const named = identity.sources.filter((source) => !isStdin(source));
  const { source } = await openSources(named, { ...identity, sample: null }, sourcePlaceOf(context, web));
  return identity.sources.some(isStdin) ? [...source.roots, places.cwd] : source.roots;
}
