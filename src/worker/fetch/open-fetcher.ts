import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { failure, LabelmillError } from "../../shared/errors.js";
import { isHttpUri, redactUri } from "../../shared/http-uri.js";
import { isTarUri } from "../../shared/tar-uri.js";
import { failedWith } from "../outcome.js";
import type { Fetcher } from "./fetcher.js";
import { createFileFetcher, createFilePartReader, createFileReader, type FileRoot } from "./file.js";
import type { HostHeaders, HttpPolicy, ProxySettings } from "./http-client.js";

import type { ReadPart } from "./read-part.js";
import { createTarFetcher } from "./tar.js";

export type { HostHeaders, ProxySettings } from "./http-client.js";

/** What this machine gives to fetch from web servers with; none of it where it is left out. */
export interface WebAccess {
  readonly hostHeaders: HostHeaders;
  readonly proxy: ProxySettings | null;
}

/** What a worker may read. */
export interface FetchPolicy extends Partial<WebAccess> {
  /** Directories (or single files) that items may lie below; links that lead out of them are refused. */
  readonly allowRoots: readonly string[];
  /** Largest encoded image, in bytes. */
  readonly maxItemBytes: number;
  /** How web servers are asked. */
  readonly http: HttpPolicy;
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
  const { allowRoots, maxItemBytes, http: policy, hostHeaders = new Map(), proxy = null } = options;
  const roots = await Promise.all(allowRoots.map(resolveRoot));
  const readFile = createFileReader(roots);
  const files = createFileFetcher(readFile, maxItemBytes);
  // Loaded with the first web address: it takes 0.3 s, which neither `--help` nor a run of files should pay.
  const openHttp = async () =>
    (await import("./http.js")).createHttpFetcher({ policy, maxItemBytes, hostHeaders, proxy });
  let opened: ReturnType<typeof openHttp> | undefined;
  const http = () => {
    opened ??= openHttp();
    return opened;
  };
  const readWebPart: ReadPart = async (...part) => (await http()).readPart(...part);
  const partReaders = { "file:": createFilePartReader(readFile), "https:": readWebPart, "http:": readWebPart };
  const members = createTarFetcher(partReaders, maxItemBytes);
  return {
    async fetch(uri, signal, admit) {
      if (uri.startsWith("/") || uri.startsWith("file:")) return files.fetch(uri, signal, admit);
      if (isTarUri(uri)) return members.fetch(uri, signal, admit);
      if (isHttpUri(uri)) return (await http()).fetch(uri, signal, admit);
      signal.throwIfAborted();
      const reason = "expected a path, a file:, http: or https: uri, or a tar+ uri of one";
      return failedWith(failure("FETCH_UNSUPPORTED", { uri: redactUri(uri), reason }));
    },
    close: async () => (await opened)?.close(),
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
