import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { failure, LabelmillError } from "../../shared/errors.js";
import { failedWith } from "../outcome.js";
import type { Fetcher } from "./fetcher.js";
import { createFileFetcher, type FileRoot } from "./file.js";

/** What a worker may read. */
export interface FetchPolicy {
  /** Directories (or single files) that items may lie below; links that lead out of them are refused. */
  readonly allowRoots: readonly string[];
  /** Largest encoded image, in bytes. */
  readonly maxItemBytes: number;
}

/**
 * Opens the fetcher that serves every scheme this version knows; any other uri is `FETCH_UNSUPPORTED`. Throws
 * `OPTION_INVALID` where an allowed root does not exist, since nothing could be below it.
 */
export async function openFetcher(policy: FetchPolicy): Promise<Fetcher> {
  const roots = await Promise.all(policy.allowRoots.map(resolveRoot));
  const files = createFileFetcher({ roots, maxItemBytes: policy.maxItemBytes });
  return {
    async fetch(uri, signal) {
      if (uri.startsWith("/") || uri.startsWith("file:")) return files.fetch(uri, signal);
      signal.throwIfAborted();
      return failedWith(failure("FETCH_UNSUPPORTED", { uri }));
    },
  };
}

/** The real path of a root, resolved once: a root that is replaced by a link later does not widen what may be read. */
async function resolveRoot(root: string): Promise<FileRoot> {
  try {
    const path = await realpath(root, { encoding: "buffer" });
    const stats = await stat(path);
    return { path, given: Buffer.from(resolve(root)), isDirectory: stats.isDirectory(), device: stats.dev };
  } catch (cause) {
    const details = { option: "allowRoots", expected: "an existing directory", value: root, from: "--allow-root" };
    throw new LabelmillError("OPTION_INVALID", details, { cause });
  }
}
