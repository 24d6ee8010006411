import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { failure, LabelmillError } from "../../shared/errors.js";
import { isHttpUri, redactUri } from "../../shared/http-uri.js";
import type { ProxySettings } from "../../shared/proxy-settings.js";
import type { S3Access } from "../../shared/s3/access.js";
import { isS3Uri } from "../../shared/s3-uri.js";
import { failedWith } from "../outcome.js";
import type { Fetcher } from "./fetcher.js";
import { createFileFetcher, type FileRoot } from "./file.js";
import type { HostHeaders } from "./http.js";
import type { S3Policy } from "./s3.js";

export type { HostHeaders } from "./http.js";

/** What this machine gives to fetch from web servers and object stores with; none of it where it is left out. */
export interface WebAccess {
  readonly hostHeaders: HostHeaders;
  readonly proxy: ProxySettings | null;
  /** Null: s3: uris are FETCH_UNSUPPORTED. */
  readonly s3: S3Access | null;
}

/** What a worker may read. */
export interface FetchPolicy extends Partial<WebAccess> {
  /** Directories (or single files) that items may lie below; links that lead out of them are refused. */
  readonly allowRoots: readonly string[];
  /** Largest encoded image, in bytes. */
  readonly maxItemBytes: number;
  /** How web servers and object stores are asked. */
  readonly http: S3Policy;
}

/** A fetcher that may hold connections. */
export interface OpenFetcher extends Fetcher {
  /** Ends them; what is under way fails. */
  close(): Promise<void>;
}

/**
 * Opens the fetcher that serves every scheme this version knows; any other uri is `FETCH_UNSUPPORTED`. Throws
 * `OPTION_INVALID` where an allowed root does not exist, since nothing could be below it.
 */
export async function openFetcher(options: FetchPolicy): Promise<OpenFetcher> {
  const { allowRoots, maxItemBytes, http: policy, hostHeaders = new Map(), proxy = null, s3: access = null } = options;
  const roots = await Promise.all(allowRoots.map(resolveRoot));
  const files = createFileFetcher({ roots, maxItemBytes });
  // Loaded with the first web address: it takes 0.3 s, which neither `--help` nor a run of files should pay.
  const openHttp = async () =>
    (await import("./http.js")).createHttpFetcher({ policy, maxItemBytes, hostHeaders, proxy });
  const openS3 = async (s3: S3Access) =>
    (await import("./s3.js")).createS3Fetcher({ access: s3, policy, maxItemBytes, proxy });
  let http: ReturnType<typeof openHttp> | undefined;
  let s3: ReturnType<typeof openS3> | undefined;
  return {
    async fetch(uri, signal, admit) {
      if (uri.startsWith("/") || uri.startsWith("file:")) return files.fetch(uri, signal, admit);
      if (isHttpUri(uri)) {
        http ??= openHttp();
        return (await http).fetch(uri, signal, admit);
      }
      if (isS3Uri(uri) && access !== null) {
        s3 ??= openS3(access);
        return (await s3).fetch(uri, signal, admit);
      }
      signal.throwIfAborted();
      const reason = "expected a path or a file:, http:, https: or s3: uri";
      return failedWith(failure("FETCH_UNSUPPORTED", { uri: redactUri(uri), reason }));
    },
    async close() {
      await (await http)?.close();
      await (await s3)?.close();
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
