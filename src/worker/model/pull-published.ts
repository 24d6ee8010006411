/**
 * `models pull` of torchvision's weights: fetches the file, checks it against the eight digits in its name and its tensors
 * against the architecture, and puts it into the cache as an import would. Only the first pull trusts eight digits, which
 * guard against a damaged or outdated file, not against whoever can serve another one: that is HTTPS's part. Each later pull
 * must bring the same file.
 */
import { join } from "node:path";
import { isCode, LabelmillError, messageOf } from "../../shared/errors.js";
import { downloadFile } from "./download.js";
import type { ModelManifest } from "./manifest.js";
import { type PublishedModel, publishedAt } from "./published.js";
import type { PullOptions, PullResult } from "./pull-options.js";
import { commitModel, isModelCached, modelDirectory, readManifest, withWorkDirectory } from "./store.js";
import { digestWeights } from "./weights/digest.js";
import { foldWeights } from "./weights/fold.js";
import { toSource } from "./weights/source.js";
import type { FoldedWeights } from "./weights/tensor.js";
import { readWeightFile } from "./weights/weight-file.js";

/**
 * Makes sure that the cache holds the model. Throws MODEL_NAME where a model of the user's own has the name; MODEL_PULL_FAILED;
 * MODEL_CORRUPT and MODEL_INVALID. Then nothing has changed.
 */
export async function pullPublished(model: PublishedModel, options: PullOptions): Promise<PullResult> {
  const { cacheDir, force = false, from = new URL(publishedAt) } = options;
  const { name } = model;
  const modelDir = modelDirectory(cacheDir, name);
  const held = await readHeld(modelDir, model, force);
  if (held !== null && !force && (await isModelCached(cacheDir, name)))
    return { modelDir, modelSha256: held.modelSha256, fetched: false };
  const url = new URL(model.file, from.href.endsWith("/") ? from : `${from}/`);
  try {
    const modelSha256 = await withWorkDirectory(cacheDir, async (workDirectory) => {
      const path = join(workDirectory, model.file);
      const sha256 = await downloadFile({ url, path, maxBytes: model.maxBytes, onProgress: options.onProgress });
      requirePinned(sha256, model, held);
      const weights = await readWeights(path, model);
      const manifest = manifestOf(model, weights, { source: url.href, sha256 });
      await commitModel(cacheDir, workDirectory, manifest, weights);
      return manifest.modelSha256;
    });
    return { modelDir, modelSha256, fetched: true };
  } catch (error) {
    if (error instanceof LabelmillError) throw error;
    throw new LabelmillError("MODEL_PULL_FAILED", { name, reason: messageOf(error) }, { cause: error });
  }
}

/** What was pulled before; null where nothing was, or what there is cannot be read and `force` says to replace it. */
async function readHeld(
  modelDir: string,
  { name, file }: PublishedModel,
  force: boolean,
): Promise<ModelManifest | null> {
  try {
    const manifest = await readManifest(modelDir);
    if (manifest.source.endsWith(`/${file}`)) return manifest;
  } catch (error) {
    if (isCode(error, "MODEL_NOT_PULLED") || (force && isCode(error, "MODEL_CORRUPT"))) return null;
    throw error;
  }
  const reason = `a model of your own has it; \`labelmill models rm ${name}\` removes that one`;
  throw new LabelmillError("MODEL_NAME", { name, reason });
}

function requirePinned(sha256: string, { name, file }: PublishedModel, held: ModelManifest | null): void {
  const prefix = /-([0-9a-f]{8})\./.exec(file)?.[1];
  if (prefix === undefined || !sha256.startsWith(prefix))
    throw new Error(`the file has sha256 ${sha256}, expected one that begins with ${prefix}`);
  const first = held?.imported?.sourceSha256 ?? sha256;
  if (first === sha256) return;
  const remedy = `\`labelmill models rm ${name}\` forgets that one`;
  throw new Error(`the file has sha256 ${sha256}, but the one that was pulled first had ${first}; ${remedy}`);
}

async function readWeights(path: string, { name, spec }: PublishedModel): Promise<FoldedWeights> {
  try {
    const { naming, tensors } = await readWeightFile(path);
    return foldWeights(spec, toSource(spec, naming, tensors));
  } catch (error) {
    throw new LabelmillError("MODEL_INVALID", { name, reason: messageOf(error) }, { cause: error });
  }
}

function manifestOf(
  { name, title, licence, spec, preprocess }: PublishedModel,
  weights: FoldedWeights,
  { source, sha256 }: { readonly source: string; readonly sha256: string },
) {
  const { stridePlacement, classes } = spec;
  const modelSha256 = digestWeights(weights, { precision: "fp32", stridePlacement });
  const labels = { count: classes, sha256: null };
  return { name, modelSha256, source, imported: { title, licence, spec, preprocess, labels, sourceSha256: sha256 } };
}
