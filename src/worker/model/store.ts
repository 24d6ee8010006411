/**
 * The model cache: `<cacheDir>/models/<name>/` with the folded weights (or a user's ONNX file, which `onnx-file/stored` reads)
 * and a manifest that pins their digest. A model is there when its manifest is; the files come by rename, the manifest last, so a reader finds a whole model or none,
 * and two processes may write the same one at once. `pull`, `import` and `init` write it, `open-engine` reads it;
 * nothing is evicted.
 */
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isCode, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { listModels, type SpecModel } from "./catalog.js";
import { type ImportedParts, isManifest, isModelName, type ModelManifest, modelOf } from "./manifest.js";
import { cachedFilesOf } from "./onnx-file/cached-files.js";
import { findPublished } from "./published.js";
import { readWholeFile } from "./read-file.js";
import { requireSpec } from "./require-spec.js";
import { foldedShapesOf } from "./spec.js";
import { digestWeights } from "./weights/digest.js";
import { decodeSafetensors, encodeSafetensors } from "./weights/safetensors.js";
import { type FoldedWeights, matchTensors } from "./weights/tensor.js";

const weightsFile = "folded.safetensors";
/** The class names of an imported model, as a JSON array. */
export const labelsFile = "labels.json";
const manifestFile = "manifest.json";
const workPrefix = ".pull-";
/** A work directory that has not changed for this long belongs to a process that died. */
const staleWorkMs = 24 * 60 * 60 * 1000;

/** A model whose weights have been checked against its digest. */
export interface StoredModel {
  readonly manifest: ModelManifest;
  readonly model: SpecModel;
  readonly weights: FoldedWeights;
}

/** Where the model of that name lies, or would lie. */
export function modelDirectory(cacheDir: string, name: string): string {
  return join(cacheDir, "models", name);
}

/**
 * Whether the cache holds the model `name`, by manifest and file size: of a catalog model this version's weights.
 * `readModel` checks the content.
 */
export async function isModelCached(cacheDir: string, name: string): Promise<boolean> {
  const pinned = listModels().find((model) => model.name === name)?.modelSha256;
  if (pinned === undefined && !isModelName(name)) return false;
  const directory = modelDirectory(cacheDir, name);
  try {
    const manifest = await readManifest(directory);
    const files = await Promise.all(
      filesOf(manifest).map(async ({ file, bytes }) => (await stat(join(directory, file))).size === bytes),
    );
    return (pinned ?? manifest.modelSha256) === manifest.modelSha256 && files.every((isWhole) => isWhole);
  } catch (error) {
    const isAbsent = systemCode(error) === "ENOENT" || isCode(error, "MODEL_NOT_PULLED");
    if (isAbsent || isCode(error, "MODEL_CORRUPT")) return false;
    throw error;
  }
}

/** The manifest in `directory`. Throws MODEL_NOT_PULLED where there is none, MODEL_CORRUPT where it cannot be used. */
export async function readManifest(directory: string): Promise<ModelManifest> {
  const name = basename(directory);
  try {
    const manifest: unknown = JSON.parse(await readFile(join(directory, manifestFile), "utf8"));
    if (!isManifest(manifest)) throw new Error("its manifest is not one of this version's");
    if (manifest.imported !== undefined && manifest.name !== name)
      throw new Error(`its manifest is of ${manifest.name}`);
    return manifest;
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new LabelmillError("MODEL_NOT_PULLED", { name }, { cause: error });
    throw damaged(name, messageOf(error), error);
  }
}

/**
 * The weights in `directory`, checked tensor by tensor against the model's spec and as a whole against
 * `expectedSha256`. Throws MODEL_NOT_PULLED, MODEL_CORRUPT, MODEL_UNKNOWN where another version put the model there, and
 * MODEL_AS_IS for an ONNX file, which has no folded weights.
 */
export async function readModel(directory: string, expectedSha256: string): Promise<StoredModel> {
  const manifest = await readManifest(directory);
  const { name, precision } = manifest;
  const model = requireSpec(modelOf(manifest));
  const { spec, labelsSha256 } = model;
  try {
    if (manifest.modelSha256 !== expectedSha256)
      throw new Error(`digest ${manifest.modelSha256}, expected ${expectedSha256}`);
    const file = await readWholeFile(join(directory, weightsFile));
    const weights = matchTensors(foldedShapesOf(spec), decodeSafetensors(file));
    const digest = digestWeights(weights, { precision, stridePlacement: spec.stridePlacement, labelsSha256 });
    if (digest !== expectedSha256) throw new Error(`content has digest ${digest}, expected ${expectedSha256}`);
    return { manifest, model, weights };
  } catch (error) {
    throw damaged(name, messageOf(error), error);
  }
}

/**
 * Runs `work` with a fresh directory inside the cache, on its file system, and removes it afterwards, whatever happens.
 * Also removes those that killed processes left.
 */
export async function withWorkDirectory<T>(cacheDir: string, work: (directory: string) => Promise<T>): Promise<T> {
  const parent = join(cacheDir, "models");
  await mkdir(parent, { recursive: true });
  await removeStaleWork(parent);
  const directory = await mkdtemp(join(parent, workPrefix));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Puts pulled `weights`, already checked against what is pinned of them, into the cache, over those that may be there;
 * `workDirectory` is one of `withWorkDirectory`.
 */
export async function commitModel(
  cacheDir: string,
  workDirectory: string,
  manifest: Omit<ModelManifest, "format" | "precision" | "bytes">,
  weights: FoldedWeights,
): Promise<void> {
  const chunks = encodeSafetensors(weights.values());
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  await writeSynced(join(workDirectory, weightsFile), chunks);
  await writeManifest(workDirectory, { format: 1, precision: "fp32", bytes, ...manifest });
  const directory = modelDirectory(cacheDir, manifest.name);
  await mkdir(directory, { recursive: true });
  await rename(join(workDirectory, weightsFile), join(directory, weightsFile));
  await rename(join(workDirectory, manifestFile), join(directory, manifestFile));
}

/** What an imported model consists of. */
export interface ImportedContent {
  readonly manifest: Omit<ModelManifest, "format" | "precision" | "bytes"> & { readonly imported: ImportedParts };
  /** What the model is executed from, in `chunks` one after another. `manifest.bytes` is the size of the first. */
  readonly files: readonly { readonly file: string; readonly chunks: readonly Uint8Array[] }[];
  /** Content of `labels.json`, or null. */
  readonly labels: Uint8Array | null;
  /** Told where the model lies before it is in the cache; its rejection keeps it out. */
  readonly prove: (directory: string) => Promise<void>;
}

/** The file of folded weights, for `ImportedContent`. */
export function weightsContent(weights: FoldedWeights): ImportedContent["files"][number] {
  return { file: weightsFile, chunks: encodeSafetensors(weights.values()) };
}

/**
 * Puts an imported model into the cache, as one directory by one rename, so that of two of the same name one is there
 * whole. False where there is something of that name already; then nothing has changed.
 */
export async function commitImported(
  cacheDir: string,
  workDirectory: string,
  { manifest, files, labels, prove }: ImportedContent,
): Promise<boolean> {
  const staged = join(workDirectory, manifest.name);
  await mkdir(staged);
  const bytes = (files[0]?.chunks ?? []).reduce((sum, chunk) => sum + chunk.byteLength, 0);
  for (const { file, chunks } of files) await writeSynced(join(staged, file), chunks);
  if (labels !== null) await writeSynced(join(staged, labelsFile), [labels]);
  await writeManifest(staged, { format: 1, precision: "fp32", bytes, ...manifest });
  await prove(staged);
  try {
    await rename(staged, modelDirectory(cacheDir, manifest.name));
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOTEMPTY" || systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Whether there is anything at that name's place in the cache, whole or not. */
export async function isNameTaken(cacheDir: string, name: string): Promise<boolean> {
  return stat(modelDirectory(cacheDir, name)).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === "ENOENT") return false;
      throw error;
    },
  );
}

/** Removes what the cache holds of `name`, whole or damaged, at once for readers. False where there is nothing. */
export async function removeModel(cacheDir: string, name: string): Promise<boolean> {
  if (!isModelName(name) || !(await isNameTaken(cacheDir, name))) return false;
  await withWorkDirectory(cacheDir, (workDirectory) =>
    rename(modelDirectory(cacheDir, name), join(workDirectory, name)),
  );
  return true;
}

/** MODEL_CORRUPT with the remedy that fits the model. */
export function damaged(name: string, reason: string, cause?: unknown): LabelmillError {
  const isPulled = findPublished(name) !== undefined || listModels().some((model) => model.name === name);
  const remedy = isPulled
    ? `run \`labelmill models pull ${name} --force\``
    : `run \`labelmill models rm ${name}\` and import it again`;
  return new LabelmillError("MODEL_CORRUPT", { name, reason, remedy }, { cause });
}

/** Files that a model has to have, and their sizes. */
function filesOf({ bytes, imported }: ModelManifest): readonly { readonly file: string; readonly bytes: number }[] {
  return imported?.onnx === undefined ? [{ file: weightsFile, bytes }] : cachedFilesOf(bytes, imported.onnx);
}

/** Throws MODEL_INVALID for what `readManifest` would refuse, as JSON leaves it: a model must not be kept that cannot be used. */
async function writeManifest(directory: string, manifest: ModelManifest): Promise<void> {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  if (!isManifest(JSON.parse(text))) {
    const reason = "its manifest would be none that can be read";
    throw new LabelmillError("MODEL_INVALID", { name: manifest.name, reason });
  }
  await writeSynced(join(directory, manifestFile), [new TextEncoder().encode(text)]);
}

async function writeSynced(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function removeStaleWork(parent: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    if (!entry.startsWith(workPrefix)) continue;
    const path = join(parent, entry);
    const changed = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (changed < Date.now() - staleWorkMs) await rm(path, { recursive: true, force: true });
  }
}
