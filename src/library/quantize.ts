import { requireItems } from "../producer/enqueue.js";
import { openSources } from "../producer/source/open-source.js";
import type { Source } from "../producer/source/source.js";
import { type CalibrationReport, calibrateModel } from "../worker/calibrate.js";
import { type CallContext, type CallOptions, resolveCall } from "./context.js";
import { ensureModel } from "./ensure-model.js";
import { readStoreAccess } from "./web-access.js";

/** More images than this move the ranges by less than another choice of images does. */
const defaultLimit = 256;

/**
 * Measures the int8 ranges of `options.model` on the images of `source` (the first `limit`, 256 unless given), which then
 * stand for those of the package on this machine. Throws `LabelmillError`: OPTION_*, RUN_SOURCE_*, MODEL_*, ENGINE_*.
 */
export async function quantize(source: string, given: CallOptions = {}): Promise<CalibrationReport> {
  const context = resolveCall(given);
  try {
    return await quantizeIn(context, source);
  } finally {
    context.release();
  }
}

async function quantizeIn(context: CallContext, source: string): Promise<CalibrationReport> {
  const { options, places, log, signal } = context;
  const { s3: access, proxy } = readStoreAccess(options, places);
  const { source: images } = await openSources([source], options, { cwd: places.cwd, s3: { access, proxy, signal } });
  await requireItems(images, source);
  await ensureModel(context);
  return calibrateModel({
    name: options.model,
    options,
    host: places,
    allowRoots: images.roots,
    store: { s3: access, proxy },
    uris: () => firstUris(images, options.limit ?? defaultLimit),
    log,
    signal,
  });
}

async function* firstUris(source: Source, limit: number): AsyncGenerator<string> {
  let left = limit;
  for await (const { uri, failure } of source.items(null)) {
    if (failure !== undefined) continue;
    yield uri;
    left -= 1;
    if (left === 0) return;
  }
}
