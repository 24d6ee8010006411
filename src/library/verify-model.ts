/**
 * `models verify`: reads images of the caller's choice, has every engine label them, and certifies beside the model how
 * far they agree. The cached weights are checked against their digest on the way, as each engine loads them.
 */
import { createHash } from "node:crypto";
import { arch, availableParallelism, cpus, platform, release } from "node:os";
import { openSources } from "../producer/source/open-source.js";
import type { EngineName } from "../shared/engine-names.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import { precisions } from "../shared/precision.js";
import { version } from "../shared/version.js";
import { type AbsentEngine, type ComparedVariant, compareEngines } from "../worker/compare-engines.js";
import { computeSettings } from "../worker/compute-settings.js";
import { openFetcher } from "../worker/fetch/open-fetcher.js";
import { agreementLimits } from "../worker/model/agreement.js";
import { type Certificate, writeCertificate } from "../worker/model/certificate.js";
import { describeModel } from "../worker/model/describe-model.js";
import { whyNoPrecision } from "../worker/model/engine-choice.js";
import { modelDirectory } from "../worker/model/store.js";
import { failedWith } from "../worker/outcome.js";
import type { CallContext } from "./context.js";
import { ensureModel } from "./ensure-model.js";
import { examplePhotos, usualEngines } from "./usual-comparison.js";
import { readStoreAccess } from "./web-access.js";

/** Images are held in memory, encoded; more than these are not needed to tell engines apart. */
const usualLimit = 1_000;

export interface VerifiedModel {
  readonly certificate: Certificate;
  /** Where the certificate lies. */
  readonly path: string;
}

/**
 * Compares `options.engines` (all that are here, where none is named) on the images of `sources` (the example photos, where
 * none is given). Throws OPTION_*, RUN_SOURCE_*, MODEL_*, ENGINE_*, STORAGE_FAILED. Engines that disagree are no error.
 */
export async function verifyModel(sources: readonly string[], context: CallContext): Promise<VerifiedModel> {
  const { options, places, log, signal } = context;
  const model = await describeModel(places.cacheDir, options.model, "fp32");
  const found = await readImages(sources, context);
  await ensureModel(context);
  const { engines, leftOut } = options.engines.length > 0 ? { ...options, leftOut: [] } : await usualEngines();
  const { variants, unquantized } = await variantsOf(engines, context);
  const comparison = await compareEngines({
    images: found.images.map(({ bytes }) => bytes),
    variants,
    leftOut: [...leftOut, ...unquantized],
    log,
    signal,
  });
  if (comparison.images === 0) throw noImages(sources, "none can be decoded");
  const undecodable = found.images.filter((_, index) => comparison.compared[0]?.top[index] === null);
  const certificate: Certificate = {
    format: 1,
    model: model.name,
    modelSha256: model.modelSha256,
    preprocessSha256: model.preprocessSha256,
    madeAt: new Date().toISOString(),
    version,
    machine: describeMachine(),
    images: comparison.images,
    imagesSha256: digestOf(found.images),
    skipped: [...found.skipped, ...undecodable.map(({ uri }) => ({ uri, reason: "it cannot be decoded" }))],
    engineThreads: options.engineThreads,
    limits: agreementLimits,
    agree: comparison.compared.length > 1 ? comparison.agree : null,
    engines: comparison.compared.map(({ engine, precision, loadMs, batchSize, imagesPerSecond, agreement }) => ({
      engine,
      precision,
      loadMs: Math.round(loadMs),
      batchSize,
      imagesPerSecond: Math.round(imagesPerSecond * 100) / 100,
      agreement,
    })),
    absent: comparison.absent,
  };
  const path = await writeCertificate(modelDirectory(places.cacheDir, model.name), certificate);
  return { certificate, path };
}

/** Each engine in each of its precisions; those that were named have to run in fp32. */
async function variantsOf(
  engines: readonly EngineName[],
  { options, places }: CallContext,
): Promise<{ variants: ComparedVariant[]; unquantized: AbsentEngine[] }> {
  const variants: ComparedVariant[] = [];
  const unquantized: AbsentEngine[] = [];
  for (const engine of engines) {
    for (const precision of precisions.filter((each) => whyNoPrecision(engine, each) === null)) {
      try {
        const model = await describeModel(places.cacheDir, options.model, precision);
        const isRequired = precision === "fp32" && options.engines.includes(engine);
        variants.push({ settings: { ...computeSettings(model, options, places), engine }, isRequired });
      } catch (error) {
        if (!isCode(error, "MODEL_NOT_QUANTIZED") && !isCode(error, "MODEL_AS_IS")) throw error;
        unquantized.push({ asked: engine, precision, reason: messageOf(error) });
      }
    }
  }
  return { variants, unquantized };
}

interface FoundImages {
  readonly images: readonly { readonly uri: string; readonly bytes: Uint8Array }[];
  readonly skipped: Certificate["skipped"];
}

/** All images at once, as every engine takes them again. */
async function readImages(
  sources: readonly string[],
  { options, places, log, signal }: CallContext,
): Promise<FoundImages> {
  const { maxItemBytes } = options;
  const given = sources.length > 0 ? sources : [examplePhotos];
  const { s3: access, proxy } = readStoreAccess(options, places);
  const { source } = await openSources(given, options, { cwd: places.cwd, s3: { access, proxy, signal } });
  const fetcher = await openFetcher({ allowRoots: source.roots, maxItemBytes, http: options, s3: access, proxy });
  const limit = options.limit ?? usualLimit;
  const images: FoundImages["images"][number][] = [];
  const skipped: FoundImages["skipped"][number][] = [];
  for await (const { uri, failure } of source.items(null)) {
    const fetched = failure === undefined ? await fetcher.fetch(uri, signal) : failedWith(failure);
    if (fetched.ok) images.push({ uri, bytes: fetched.value.bytes });
    else skipped.push({ uri, reason: fetched.failure.message });
    if (images.length < limit) continue;
    if (options.limit === null) log.info(`took the first ${limit} images; --limit takes another number`);
    break;
  }
  await fetcher.close();
  if (images.length === 0) throw noImages(sources, "there is no image that can be read");
  return { images, skipped };
}

const noImages = (sources: readonly string[], reason: string): LabelmillError =>
  new LabelmillError("RUN_SOURCE_EMPTY", { source: sources.join(", "), reason });

function describeMachine(): Certificate["machine"] {
  const system = `${platform()} ${release()} ${arch()}`;
  return { cpu: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), system };
}

function digestOf(images: FoundImages["images"]): string {
  const hash = createHash("sha256");
  for (const { bytes } of images) hash.update(bytes);
  return hash.digest("hex");
}
