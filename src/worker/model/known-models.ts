/**
 * Every model that can be named: those of the catalog, and those that the user pulled or imported into the cache. Readable without
 * any weights, so that a producer can pin a run's model; it loads no native code and no network code.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isCode, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { listModels, type Model } from "./catalog.js";
import { isModelName, modelOf } from "./manifest.js";
import { outputSizesOf } from "./output-sizes.js";
import { findPublished, listPublished, type PublishedModel, publishedAt } from "./published.js";
import { damaged, isModelCached, isNameTaken, labelsFile, modelDirectory, readManifest } from "./store.js";

/** One line of `models list`. */
export interface ListedModel {
  readonly name: string;
  readonly title: string;
  /** SPDX id; null where only the user can know. */
  readonly licence: string | null;
  readonly source: string;
  readonly modelSha256: string | null;
  readonly state: "cached" | "not pulled" | "damaged";
}

/**
 * The model of that name, from the catalog or the cache. Throws MODEL_UNKNOWN, MODEL_CORRUPT for a bad manifest, or
 * MODEL_NOT_PULLED for published weights, which have no digest before.
 */
export async function resolveModel(cacheDir: string, name: string): Promise<Model> {
  const model = listModels().find((known) => known.name === name);
  if (model !== undefined) return model;
  if (isModelName(name)) {
    try {
      return modelOf(await readManifest(modelDirectory(cacheDir, name)));
    } catch (error) {
      if (!isCode(error, "MODEL_NOT_PULLED") || findPublished(name) !== undefined) throw error;
    }
  }
  const known = [...listModels(), ...listPublished()]
    .map((each) => each.name)
    .concat(await importedNames(cacheDir))
    .join(", ");
  throw new LabelmillError("MODEL_UNKNOWN", { name, known });
}

/** Models of the catalog, then torchvision's, then imported ones by name. */
export async function listKnownModels(cacheDir: string): Promise<ListedModel[]> {
  const catalogued = listModels().map(async ({ name, title, licence, source, modelSha256 }): Promise<ListedModel> => {
    const state = (await isModelCached(cacheDir, name)) ? "cached" : "not pulled";
    return { name, title, licence, source: `npm:${source.package}@${source.version}`, modelSha256, state };
  });
  const published = listPublished().map(async (model) => {
    const isThere = await isNameTaken(cacheDir, model.name);
    return isThere ? listImported(cacheDir, model.name) : listUnpulled(model);
  });
  const imported = (await importedNames(cacheDir)).map((name) => listImported(cacheDir, name));
  return Promise.all([...catalogued, ...published, ...imported]);
}

/**
 * The class names of a model by index. ImageNet-1k's come with the program, in the order of the sorted WordNet ids; two
 * names stand for two classes each (`crane`, `maillot`), so the index identifies, not the name. An imported model may have
 * its own beside its weights. Throws MODEL_INVALID where the installed file does not fit the model, MODEL_CORRUPT where
 * the cached one does not.
 */
export async function loadLabels(cacheDir: string, model: Model): Promise<readonly string[]> {
  const { name, labelsSha256 } = model;
  const { classes } = outputSizesOf(model);
  // Compiled, this file is dist/src/worker/model/known-models.js.
  const asset = fileURLToPath(new URL("../../../../assets/labels.json", import.meta.url));
  const path = labelsSha256 === null ? asset : join(modelDirectory(cacheDir, name), labelsFile);
  try {
    const bytes = await readFile(path);
    if (labelsSha256 !== null && createHash("sha256").update(bytes).digest("hex") !== labelsSha256)
      throw new Error("they have another digest than when the model was imported");
    const labels: unknown = JSON.parse(bytes.toString("utf8"));
    const isListOfNames = Array.isArray(labels) && labels.every((label) => typeof label === "string" && label !== "");
    if (!isListOfNames || labels.length !== classes) throw new Error(`expected ${classes} names`);
    return labels;
  } catch (error) {
    const reason = `the labels at ${path} cannot be used: ${messageOf(error)}`;
    if (labelsSha256 !== null) throw damaged(name, reason, error);
    throw new LabelmillError("MODEL_INVALID", { name, reason }, { cause: error });
  }
}

function listUnpulled({ name, title, licence, file }: PublishedModel): ListedModel {
  return { name, title, licence, source: new URL(file, publishedAt).href, modelSha256: null, state: "not pulled" };
}

async function listImported(cacheDir: string, name: string): Promise<ListedModel> {
  try {
    const { modelSha256, source, imported } = await readManifest(modelDirectory(cacheDir, name));
    const state = (await isModelCached(cacheDir, name)) ? "cached" : "damaged";
    return { name, title: imported?.title ?? name, licence: imported?.licence ?? null, source, modelSha256, state };
  } catch (error) {
    if (!isCode(error, "MODEL_CORRUPT") && !isCode(error, "MODEL_NOT_PULLED")) throw error;
    return { name, title: messageOf(error), licence: null, source: "unknown", modelSha256: null, state: "damaged" };
  }
}

async function importedNames(cacheDir: string): Promise<string[]> {
  const entries = await readdir(join(cacheDir, "models")).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  });
  const others = [...listModels(), ...listPublished()].map(({ name }) => name);
  return entries.filter((name) => isModelName(name) && !others.includes(name)).sort();
}
