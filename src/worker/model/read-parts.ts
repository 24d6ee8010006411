import type { GraphParts } from "./graph-parts.js";
import { readModel } from "./store.js";

/** What an engine builds the network in `modelDir` from, verified. Throws what `readModel` throws. */
export async function readParts(modelDir: string, weightsSha256: string): Promise<GraphParts> {
  const { model, weights } = await readModel(modelDir, weightsSha256);
  return { spec: model.spec, preprocess: model.preprocess, weights };
}
