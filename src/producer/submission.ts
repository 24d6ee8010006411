import { basename, extname, join } from "node:path";
import { type AgainstDataset, identityHash, type RunIdentity } from "../dataset/run-head.js";
import { canonicalLocation } from "../dataset/storage/open-storage.js";
import { LabelmillError } from "../shared/errors.js";
import type { ResolvedOptions } from "../shared/options.js";
import { type CarryOver, openCarrySource } from "./reprocess/carry-source.js";
import { openSources, type SourcePlace, stdinName } from "./source/open-source.js";
import type { Source } from "./source/source.js";

/** What a run pins of its model. */
export type PinnedModel = Pick<RunIdentity, "modelSha256" | "preprocessSha256" | "precision">;

/** A run as asked for, before anything is written. */
export interface Submission {
  readonly source: Source;
  readonly identity: RunIdentity;
  /** Absolute path, or s3: uri, of the dataset: `--out`, or a name that the identity decides, so that the same command finds it again. */
  readonly out: string;
}

/** An earlier dataset that rows are carried over from, and how items are compared with it. */
export interface Against extends CarryOver {
  readonly dataset: AgainstDataset;
}

/** Opens the sources and works out the run's identity and place. Throws RUN_SOURCE_*. */
export async function openSubmission(
  args: readonly string[],
  options: ResolvedOptions,
  { model, against, ...place }: SourcePlace & { readonly model: PinnedModel; readonly against: Against | null },
): Promise<Submission> {
  const { include, exclude, allFiles, limit, chunkSize, topK, embedding, format } = options;
  const { uriColumn, idColumn, keepColumns, inputFormat, sample, sampleSeed, dedupe } = options;
  requireOut(args, options);
  const { source, names } = await openSources(args, options, place);
  const columns = { uriColumn, idColumn, keepColumns, inputFormat };
  const share = { limit, sample, sampleSeed, dedupe };
  const selection = { sources: names, include, exclude, allFiles, ...share, ...columns };
  const { modelSha256, preprocessSha256, precision } = model;
  const pinned = { model: options.model, modelSha256, preprocessSha256, precision };
  const carried = against === null ? {} : { against: against.dataset, only: against.only };
  const identity = { ...selection, chunkSize, ...pinned, topK, embedding, format, ...carried };
  const own = against === null ? source : openCarrySource(source, against);
  return { source: own, identity, out: canonicalLocation(options.out ?? defaultOut(identity), place.cwd) };
}

/** What came from stdin is not known by its name: the same command may mean another list. */
function requireOut(args: readonly string[], { out }: ResolvedOptions): void {
  if (out !== null || !args.includes(stdinName)) return;
  const expected =
    "a directory or s3://BUCKET/PREFIX where the source is stdin (`-`), since the same command may mean another list";
  throw new LabelmillError("OPTION_INVALID", { option: "out", expected, value: "null", from: "default" });
}

function defaultOut(identity: RunIdentity): string {
  // The last part of the first source that is left without wildcards or query: `photos` of `photos/**/*.jpg`.
  const plain = (part: string) => basename(part, extname(part)).replaceAll(/[*?[\]{}()!@+|\\:&=]/g, "");
  const parts = (identity.sources[0] ?? "").split("/").map(plain);
  const name = parts.findLast((part) => part !== "") ?? "root";
  return join("labelmill-out", `${name}-${identityHash(identity).slice(0, 8)}`);
}
