import { listCompleteRetries, readCurrentSummary } from "../dataset/current-rows.js";
import { retryPath, runFolders, runHeadPath } from "../dataset/layout.js";
import { createRunHead, type RunIdentity } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { Summary } from "../dataset/summary.js";

/** The summary of the dataset if it is complete already. Throws RUN_IDENTITY where it is another run's. */
export async function findFinished(storage: Storage, identity: RunIdentity): Promise<Summary | null> {
  if ((await storage.size(runHeadPath)) === null) return null;
  await createRunHead(storage, identity);
  const summary = await readCurrentSummary(storage);
  // A process that was killed between the two steps of its last commit has left a second name of the summary.
  if (summary !== null) {
    const retries = (await listCompleteRetries(storage)).flatMap((n) =>
      runFolders.map((of) => `${retryPath(n)}/${of}`),
    );
    await storage.sweep([...runFolders, ...retries]);
  }
  return summary;
}
