import { isCode, LabelmillError } from "../shared/errors.js";
import { type RunHead, readRunHead } from "./run-head.js";
import type { Storage } from "./storage/storage.js";

type RunKey = Pick<RunHead, "runId" | "epoch">;

/** The head of `run`'s dataset. Throws `RUN_REPLACED` where another run's dataset is there, and as `readRunHead` does. */
export async function readOwnHead(storage: Storage, run: RunKey): Promise<RunHead> {
  const head = await readRunHead(storage);
  if (head.runId === run.runId && head.epoch === run.epoch) return head;
  throw new LabelmillError("RUN_REPLACED", { out: storage.location, found: head.runId, runId: run.runId });
}

/**
 * The storage of a run that exists, for all who read or write its dataset while it runs. What is absent is absent only
 * while `run.json` is there: a directory that was removed or unmounted is `STORAGE_FAILED` instead of an empty dataset, and
 * nothing is written into what stands in its place. Throws `RUN_REPLACED` where that is another run's dataset.
 */
export function openRunStorage(storage: Storage, run: RunKey): Storage {
  const requirePresent = async (): Promise<void> => {
    await readOwnHead(storage, run).catch((error: unknown) => {
      throw isCode(error, "RUN_NOT_A_DATASET") ? vanished(storage, error) : error;
    });
  };
  const unlessVanished = async <T>(found: T | null): Promise<T | null> => {
    if (found === null) await requirePresent();
    return found;
  };
  return {
    ...storage,
    read: async (path) => unlessVanished(await storage.read(path)),
    size: async (path) => unlessVanished(await storage.size(path)),
    async createOnce(path, bytes) {
      await requirePresent();
      return storage.createOnce(path, bytes);
    },
  };
}

function vanished({ location }: Storage, cause: LabelmillError): LabelmillError {
  const reason = "run.json is gone; the dataset was removed, or its directory is not mounted";
  return new LabelmillError("STORAGE_FAILED", { path: location, reason }, { cause });
}
