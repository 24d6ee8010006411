import { realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { failure, LabelmillError } from "../../shared/errors.js";
import { isHttpUri, redactUri } from "../../shared/http-uri.js";
import type { ProxySettings } from "../../shared/proxy-settings.js";
import type { S3Access } from "../../shared/s3/access.js";
import { isS3Uri } from "../../shared/s3-uri.js";
import { isTarUri } from "../../shared/tar-uri.js";
import { failedWith } from "../outcome.js";
import type { Fetcher } from "./fetcher.js";
import { createFileFetcher, createFilePartReader, createFileReader, type FileRoot } from "./file.js";
import type { HostHeaders } from "./http-client.js";
import type { ReadPart } from "./read-part.js";
import type { S3Policy } from "./s3.js";
import { createTarFetcher } from "./tar.js";

export type { HostHeaders } from "./http-client.js";

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
  const readFile = createFileReader(roots);
  const files = createFileFetcher(readFile, maxItemBytes);
  // Loaded with the first web address: it takes 0.3 s, which neither `--help` nor a run of files should pay.
  const http = openOnce(async () =>
    (await import("./http.js")).createHttpFetcher({ policy, maxItemBytes, hostHeaders, proxy }),
  );
  const openS3 = async (s3: S3Access) =>
    (await import("./s3.js")).createS3Fetcher({ access: s3, policy, maxItemBytes, proxy });
  const objects = access === null ? null : openOnce(() => openS3(access));
  const readWebPart: ReadPart = async (...part) => (await http.get()).readPart(...part);
  const partReaders = { "file:": createFilePartReader(readFile), "https:": readWebPart, "http:": readWebPart };
  const members = createTarFetcher(partReaders, maxItemBytes);
  const fetcher: Fetcher = {
    async fetch(uri, signal, admit) {
      if (uri.startsWith("/") || uri.startsWith("file:")) return files.fetch(uri, signal, admit);
      if (isTarUri(uri)) return members.fetch(uri, signal, admit);
      if (isHttpUri(uri)) return (await http.get()).fetch(uri, signal, admit);
      if (isS3Uri(uri) && objects !== null) return (await objects.get()).fetch(uri, signal, admit);
      signal.throwIfAborted();
      const reason = "expected a path, a file:, http:, https: or s3: uri, or a tar+ uri of a file or web address";
      return failedWith(failure("FETCH_UNSUPPORTED", { uri: redactUri(uri), reason }));
    },
    async fetchUnless(known, uri, signal, admit) {
      if (isHttpUri(uri)) return (await http.get()).fetchUnless(known, uri, signal, admit);
      if (isS3Uri(uri) && objects !== null) return (await objects.get()).fetchUnless(known, uri, signal, admit);
      // What lies on a disk is read as quickly as it is asked for.
      return fetcher.fetch(uri, signal, admit);
    },
  };
  return {
    ...fetcher,
    async close() {
      await http.close();
      await objects?.close();
    },
  };
}

/** Opens with the first `get`; closes what was opened. */
function openOnce<Opened extends { close(): Promise<void> }>(open: () => Promise<Opened>) {
  let opened: Promise<Opened> | undefined;
  return {
    get() {
      opened ??= open();
      return opened;
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
