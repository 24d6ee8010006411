import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import type { ResolvedOptions } from "../shared/options.js";
import { startCompute } from "./compute-client/start.js";
import { computeSettings } from "./compute-settings.js";
import { describeModel, loadLabels, resolveModel } from "./model/known-models.js";

/** What the model said of the photo that comes with the package. */
export interface Proof {
  readonly engine: string;
  readonly label: string;
  readonly score: number;
  readonly loadMs: number;
  readonly predictMs: number;
}

/** Compiled, this file is dist/src/worker/prove.js. */
const photo = new URL("../../../examples/photos/chelsea.png", import.meta.url);

/** Labels one photo with the real weights, through the same child that a worker uses. Throws MODEL_*, ENGINE_*. */
export async function proveModel(options: ResolvedOptions, cacheDir: string, log: Log): Promise<Proof> {
  const model = await describeModel(cacheDir, options.model);
  const labels = await loadLabels(cacheDir, await resolveModel(cacheDir, options.model));
  const compute = await startCompute(computeSettings(model, options, cacheDir), { log });
  try {
    const startedMs = performance.now();
    const outcome = await compute.predict(await readFile(fileURLToPath(photo)), 1);
    if (!outcome.ok) throw new LabelmillError("ENGINE_FAILED", { reason: outcome.failure.message });
    const { topIndices, topScores } = outcome.value;
    const { engine, loadMs } = compute.report;
    const predictMs = Math.round(performance.now() - startedMs);
    return { engine, label: labels[topIndices[0] ?? -1] ?? "none", score: topScores[0] ?? 0, loadMs, predictMs };
  } finally {
    await compute.close();
  }
}
