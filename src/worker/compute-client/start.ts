import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Log } from "../../shared/log.js";
import type { ComputeSettings } from "../compute/protocol.js";
import { engineEnv } from "../model/engine-env.js";
import { type ComputeClient, createComputeClient } from "./client.js";

/** What the caller may want to hear. */
export interface StartComputeOptions {
  /** Told of each child's end, and of each line of its standard error. */
  readonly log?: Pick<Log, "warn">;
  /** Ends the client, also while it starts: what waits rejects with RUN_INTERRUPTED. */
  readonly signal?: AbortSignal;
}

/** libuv's own default; file reads of the model need some beside the decodes. */
const smallestThreadPool = 4;

/**
 * Starts a compute child and resolves when it has run its model once. Rejects with MODEL_NOT_PULLED, MODEL_CORRUPT,
 * ENGINE_UNAVAILABLE, ENGINE_FAILED or the like. The caller closes the client.
 */
export function startCompute(settings: ComputeSettings, options: StartComputeOptions = {}): Promise<ComputeClient> {
  // A path, not an import: the lock-holding process must never load what the child loads.
  const entry = fileURLToPath(import.meta.resolve("../compute/child.js"));
  const threads = Math.max(smallestThreadPool, settings.decodeConcurrency + 2);
  const spawnChild = () =>
    fork(entry, [], {
      serialization: "advanced",
      // Not this process's environment, which may hold credentials.
      env: { ...settings.driverEnv, ...engineEnv(settings.engineThreads), UV_THREADPOOL_SIZE: String(threads) },
      execArgv: [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
  return createComputeClient(spawnChild, settings, options);
}
