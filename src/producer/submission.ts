import { basename, extname, join, resolve } from "node:path";
import { identityHash, type RunIdentity } from "../dataset/run-head.js";
import type { ResolvedOptions } from "../shared/options.js";
import { openSources } from "./source/open-source.js";
import type { Source } from "./source/source.js";

/** What a run pins of its model. */
export type PinnedModel = Pick<RunIdentity, "modelSha256" | "preprocessSha256" | "precision">;

/** A run as asked for, before anything is written. */
export interface Submission {
  readonly source: Source;
  readonly identity: RunIdentity;
  /** Absolute path of the dataset: `--out`, or a name that the identity decides, so that the same command finds it again. */
  readonly out: string;
}

/** Opens the sources and works out the run's identity and place. Throws RUN_SOURCE_*. */
export async function openSubmission(
  args: readonly string[],
  options: ResolvedOptions,
  { cwd, model }: { cwd: string; model: PinnedModel },
): Promise<Submission> {
  const { include, exclude, allFiles, limit, chunkSize, topK, embedding, format } = options;
  const { source, names } = await openSources(args, cwd, { include, exclude, allFiles });
  const selection = { sources: names, include, exclude, allFiles, limit };
  const { modelSha256, preprocessSha256, precision } = model;
  const pinned = { model: options.model, modelSha256, preprocessSha256, precision };
  const identity = { ...selection, chunkSize, ...pinned, topK, embedding, format };
  return { source, identity, out: resolve(cwd, options.out ?? defaultOut(identity)) };
}

function defaultOut(identity: RunIdentity): string {
  const first = identity.sources[0] ?? "";
  const name = basename(first, extname(first)) || "root";
  return join("labelmill-out", `${name}-${identityHash(identity).slice(0, 8)}`);
}
