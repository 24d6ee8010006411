/** Fetches one file over HTTP to the disk, bounded, and takes its digest on the way. `pull-published` calls it. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf, systemCode } from "../../shared/errors.js";
import type { PullOptions } from "./pull-options.js";

/** What to fetch, and where to. */
export interface Download {
  readonly url: URL;
  /** Nothing may be there. */
  readonly path: string;
  /** A file that has more is not fetched to its end. */
  readonly maxBytes: number;
  readonly onProgress: PullOptions["onProgress"];
}

const maxRedirects = 5;
const stallMs = 60_000;

/** Returns the file's sha256, in hex. Throws an Error that names the URL; what came until then may lie at `path`. */
export async function downloadFile({ url, path, maxBytes, onProgress }: Download): Promise<string> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error(`${url} sent nothing for ${stallMs / 1000} s`)), stallMs);
  const hash = createHash("sha256");
  let receivedBytes = 0;
  try {
    const { body, totalBytes } = await request(url, maxBytes, stalled.signal);
    const count = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        timer.refresh();
        receivedBytes += chunk.byteLength;
        if (receivedBytes > maxBytes) throw new Error(`${url} sends more than the expected ${maxBytes} bytes`);
        hash.update(chunk);
        onProgress?.({ receivedBytes, totalBytes });
        yield chunk;
      }
    };
    await pipeline(body, count, createWriteStream(path, { flags: "wx" }));
    return hash.digest("hex");
  } catch (error) {
    if (stalled.signal.aborted) throw stalled.signal.reason;
    // What `fetch` says of a connection that broke off.
    if (!(error instanceof TypeError)) throw error;
    const found = receivedBytes === 0 ? "cannot be reached" : `broke off after ${receivedBytes} bytes`;
    throw new Error(`${url} ${found}: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

interface Answer {
  readonly body: Readable;
  readonly totalBytes: number;
}

/** Follows redirects, but from HTTPS to HTTPS alone. */
async function request(url: URL, maxBytes: number, signal: AbortSignal): Promise<Answer> {
  let at = url;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const response = await fetch(at, { redirect: "manual", signal, headers: { "accept-encoding": "identity" } });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null) return answerOf(response, at, maxBytes);
    await response.body?.cancel();
    const next = new URL(location, at);
    if (at.protocol === "https:" && next.protocol !== "https:")
      throw new Error(`${at} redirects to ${next}, which is not HTTPS`);
    at = next;
  }
  throw new Error(`${url} redirects more than ${maxRedirects} times`);
}

async function answerOf(response: Response, url: URL, maxBytes: number): Promise<Answer> {
  const { status, body, headers } = response;
  const totalBytes = Number(headers.get("content-length") ?? maxBytes);
  if (status === 200 && body !== null && totalBytes <= maxBytes) return { body: Readable.fromWeb(body), totalBytes };
  await body?.cancel();
  const found = status === 200 ? `offers ${totalBytes} bytes, expected ${maxBytes} at most` : `answers ${status}`;
  throw new Error(`${url} ${found}`);
}

/** `fetch` says only that it failed; the reason is the cause. */
function reasonOf(error: Error): string {
  return error.cause === undefined ? error.message : (systemCode(error.cause) ?? messageOf(error.cause));
}
