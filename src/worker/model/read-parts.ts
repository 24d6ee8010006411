import { findModel } from "./catalog.js";
import type { GraphParts } from "./graph-parts.js";
import { readModel } from "./store.js";

/** What an engine builds the network in `modelDir` from, verified. Throws what `readModel` throws. */
export async function readParts(modelDir: string, weightsSha256: string): Promise<GraphParts> {
  const { manifest, weights } = await readModel(modelDir, weightsSha256);
  const { spec, preprocess } = findModel(manifest.name);
  return { spec, preprocess, weights };
}
