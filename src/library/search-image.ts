/**
 * Searching a dataset by an image: the image goes through the model that made the dataset, in a compute child like those of
 * a worker, and its embedding is what is searched for.
 */
import { dirname, resolve } from "node:path";
import type { OpenedResults } from "../results/open.js";
import { type Query, requireEmbeddings } from "../results/search.js";
import { LabelmillError } from "../shared/errors.js";
import { startCompute } from "../worker/compute-client/start.js";
import { computeSettings } from "../worker/compute-settings.js";
import { openFetcher } from "../worker/fetch/open-fetcher.js";
import { describeModel, type ModelDescription } from "../worker/model/describe-model.js";
import type { CallContext } from "./context.js";

/**
 * The query that the image at `image` (a path) is. Throws RESULTS_MODEL_DIFFERS where the model in the cache is not the one
 * that made the dataset, RESULTS_IMAGE where the image cannot be read or decoded, RESULTS_NO_EMBEDDING, MODEL_*, ENGINE_*.
 */
export async function queryOfImage(results: OpenedResults, image: string, context: CallContext): Promise<Query> {
  requireEmbeddings(results);
  const { options, places, log, signal } = context;
  const model = await describeModelOf(results, places.cacheDir);
  const path = resolve(places.cwd, image);
  const bytes = await readImage(path, context);
  const compute = await startCompute({ ...computeSettings(model, options, places), batchSize: 1 }, { log, signal });
  try {
    const predicted = await compute.predict(bytes, 1);
    if (!predicted.ok) throw new LabelmillError("RESULTS_IMAGE", { path, reason: predicted.failure.message });
    return { embedding: predicted.value.embedding, itemIndex: null };
  } finally {
    await compute.close();
  }
}

async function describeModelOf({ head, storage }: OpenedResults, cacheDir: string): Promise<ModelDescription> {
  const { model: name, modelSha256, preprocessSha256, precision } = head.identity;
  const model = await describeModel(cacheDir, name, precision);
  if (model.modelSha256 === modelSha256 && model.preprocessSha256 === preprocessSha256) return model;
  const isSameModel = model.modelSha256 === modelSha256;
  const [expected, found] = isSameModel
    ? [`preprocessing ${preprocessSha256}`, `preprocessing ${model.preprocessSha256}`]
    : [modelSha256, model.modelSha256];
  throw new LabelmillError("RESULTS_MODEL_DIFFERS", { out: storage.location, name, expected, found });
}

async function readImage(path: string, { options, signal }: CallContext): Promise<Uint8Array> {
  const { maxItemBytes } = options;
  const missing = (reason: string) => new LabelmillError("RESULTS_IMAGE", { path, reason });
  const opened = openFetcher({ allowRoots: [dirname(path)], maxItemBytes, http: options });
  const fetcher = await opened.catch(() => {
    throw missing("there is no such directory");
  });
  const fetched = await fetcher.fetch(path, signal);
  await fetcher.close();
  if (fetched.ok) return fetched.value.bytes;
  throw missing(fetched.failure.message);
}
