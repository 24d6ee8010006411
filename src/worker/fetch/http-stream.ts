/**
 * Reads a file of a web server as a stream from a byte on, for whoever lists it: over the same guarded connections as items
 * are fetched, with the same tries. A connection that breaks off is made again where it broke off, unless the file has
 * changed meanwhile. Bytes are given as they come over the wire. Called by `open-remote-files` alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Dispatcher } from "undici";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { parseHttpUrl, parseUrl, plainOrigin, redactUri } from "../../shared/http-uri.js";
import {
  createHttpClient,
  type HostHeaders,
  type HttpClient,
  type HttpClientOptions,
  longestPauseMs,
  mostRedirects,
  pauseAfter,
} from "./http-client.js";
import { failureOf } from "./http-failure.js";
import { headerOf, isBusy, isRedirect, retryAfterMs } from "./http-headers.js";

export interface HttpStreamOptions extends HttpClientOptions {
  readonly hostHeaders: HostHeaders;
}

export interface StreamStart {
  readonly offset: number;
  /** Refuses a server that ignores ranges; else the bytes before `offset` are read and dropped. */
  readonly needsRanges: boolean;
}

export interface HttpStream {
  /** Of the whole file, in bytes; null where the server does not tell. */
  readonly size: number | null;
  readonly blocks: AsyncIterable<Buffer>;
}

/** Why a stream cannot be had, or goes on no further. */
class StreamFailure extends Error {
  readonly isRetryable: boolean;
  readonly waitMs: number;

  constructor(message: string, { isRetryable = false, waitMs = 0 } = {}) {
    super(message);
    this.isRetryable = isRetryable;
    this.waitMs = waitMs;
  }
}

interface Answer {
  readonly body: AsyncIterable<Buffer>;
  readonly size: number | null;
  readonly etag: string | null;
  /** To be dropped before what was asked for. */
  readonly skipBytes: number;
}

interface Reading {
  readonly uri: string;
  readonly needsRanges: boolean;
  readonly client: HttpClient;
  readonly hostHeaders: HostHeaders;
  readonly policy: HttpClientOptions["policy"];
  readonly signal: AbortSignal;
}

/** A connection that broke off counts as none once so much has come since: else a byte a connection would go on for ever. */
const progressBytes = 64 * 1024;
/** Encodings whose bytes are those of a file named so, as Apache sends `.gz` files. */
const fileEncodings: ReadonlySet<string> = new Set(["", "identity", "gzip", "x-gzip"]);

/**
 * Opens `uri`. Throws RUN_SOURCE_UNREADABLE, from the blocks too; rejects with the signal's reason. The connection ends with
 * the blocks, which have to be begun.
 */
export async function openHttpStream(
  uri: string,
  { offset, needsRanges }: StreamStart,
  options: HttpStreamOptions,
  signal: AbortSignal,
): Promise<HttpStream> {
  const client = createHttpClient(options);
  const { policy, hostHeaders } = options;
  const reading = { uri, needsRanges, client, hostHeaders, policy, signal };
  try {
    const first = await askWithTries(offset, reading);
    return { size: first.size, blocks: blocksOf(first, offset, reading) };
  } catch (error) {
    await client.close();
    throw unreadable(error, reading);
  }
}

async function* blocksOf(first: Answer, offset: number, reading: Reading): AsyncGenerator<Buffer> {
  let answer = first;
  let { size } = first;
  let at = offset;
  let progressAt = at;
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        for await (const block of skipBytes(answer)) {
          at += block.length;
          if (at - progressAt >= progressBytes) {
            tries = 1;
            progressAt = at;
          }
          yield block;
        }
        // A server may give less than it was asked for, and a body without a length may end early unnoticed.
        if (size === null || at >= size) return;
        throw new StreamFailure(`it ended after ${at} of ${size} bytes`, { isRetryable: true });
      } catch (thrown) {
        await pause(streamFailureOf(thrown, reading), tries, reading);
      }
      answer = await askWithTries(at, reading);
      const isOtherSize = size !== null && answer.size !== null && answer.size !== size;
      if (isOtherSize || answer.etag !== first.etag) throw new StreamFailure("it changed while it was read");
      size ??= answer.size;
    }
  } catch (error) {
    throw unreadable(error, reading);
  } finally {
    await reading.client.close();
  }
}

async function* skipBytes({ body, skipBytes: count }: Answer): AsyncGenerator<Buffer> {
  let left = count;
  for await (const block of body) {
    if (left < block.length) yield block.subarray(left);
    left -= Math.min(left, block.length);
  }
}

async function askWithTries(offset: number, reading: Reading): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(offset, reading);
    } catch (thrown) {
      await pause(streamFailureOf(thrown, reading), tries, reading);
    }
  }
}

/** Waits for the next try; throws `failure` where there is none. */
async function pause(failure: StreamFailure, tries: number, { policy, signal }: Reading): Promise<void> {
  if (!failure.isRetryable || tries > policy.fetchRetries || failure.waitMs > longestPauseMs) throw failure;
  await sleep(pauseAfter(tries, failure.waitMs), undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** One try, redirects followed. */
async function ask(offset: number, reading: Reading): Promise<Answer> {
  let url = parseHttpUrl(reading.uri);
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    if (!(url instanceof URL)) throw new StreamFailure(`it leads to an address that is refused: ${url.reason}`);
    const response = await send(url, offset, reading);
    const location = headerOf(response.headers, "location");
    if (!isRedirect(response.statusCode) || location === undefined) return answerOf(response, offset, reading);
    response.body.on("error", () => {}).destroy();
    if (parseUrl(location, url.href) === null) throw new StreamFailure("its Location is no address");
    url = parseHttpUrl(location, url);
  }
  throw new StreamFailure(`there are more than ${mostRedirects} redirects`);
}

/** The head has the time of a whole image: a server may send provisional ones (103) without end, each of which is an answer. */
async function send(url: URL, offset: number, reading: Reading): Promise<Dispatcher.ResponseData> {
  const { client, hostHeaders, policy, signal, needsRanges } = reading;
  const refusal = client.refusalOfHost(url.hostname);
  if (refusal !== null) throw new StreamFailure(`its host may not be asked: ${refusal}`);
  const range = needsRanges || offset > 0 ? { range: `bytes=${offset}-` } : {};
  const late = new AbortController();
  const failure = new StreamFailure("no answer within --fetch-timeout-ms", { isRetryable: true });
  const timer = setTimeout(() => late.abort(failure), policy.fetchTimeoutMs);
  try {
    return await client.dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: "GET",
      headers: { ...client.headers, ...hostHeaders.get(plainOrigin(url)), ...range },
      headersTimeout: policy.headersTimeoutMs,
      bodyTimeout: policy.idleTimeoutMs,
      signal: AbortSignal.any([signal, late.signal]),
    });
  } finally {
    clearTimeout(timer);
  }
}

function answerOf(response: Dispatcher.ResponseData, offset: number, { needsRanges }: Reading): Answer {
  const { statusCode, body } = response;
  const drop = (message: string, retry: { isRetryable?: boolean; waitMs?: number } = {}) => {
    body.on("error", () => {}).destroy();
    return new StreamFailure(message, retry);
  };
  const encoding = headerOf(response.headers, "content-encoding") ?? "";
  if (!fileEncodings.has(encoding)) throw drop(`its content encoding \`${encoding.slice(0, 100)}\` is not known`);
  const etag = headerOf(response.headers, "etag") ?? null;
  if (statusCode === 206) {
    const { first, size } = rangeIn(response);
    if (first !== offset) throw drop("its server answered with another range");
    if (needsRanges && size === null) throw drop("its server does not tell its size");
    return { body, size, etag, skipBytes: 0 };
  }
  if (statusCode === 200 && needsRanges)
    throw drop("its server ignores Range, so that no member could be fetched alone; download it, and name the file");
  const length = headerOf(response.headers, "content-length");
  if (statusCode === 200) return { body, size: length === undefined ? null : Number(length), etag, skipBytes: offset };
  if (statusCode === 416) {
    const refused = drop("it has no such range");
    const size = sizeBefore(response, offset);
    if (size === null) throw refused;
    return { body: nothing(), size, etag, skipBytes: 0 };
  }
  const waitMs = retryAfterMs(headerOf(response.headers, "retry-after"), Date.now()) ?? 0;
  throw drop(`it was answered with status ${statusCode}`, { isRetryable: isBusy(statusCode), waitMs });
}

function rangeIn({ headers }: Dispatcher.ResponseData): { readonly first: number; readonly size: number | null } {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerOf(headers, "content-range") ?? "") ?? [];
  return { first: Number(first), size: total === "*" ? null : Number(total) };
}

/** The size that a refused range tells, where `offset` is not before it; else null. */
function sizeBefore({ headers }: Dispatcher.ResponseData, offset: number): number | null {
  const [, total] = /^bytes \*\/(\d+)$/.exec(headerOf(headers, "content-range") ?? "") ?? [];
  return total === undefined || offset < Number(total) ? null : Number(total);
}

/** What lies behind the last byte. */
async function* nothing(): AsyncGenerator<Buffer> {}

function streamFailureOf(thrown: unknown, { uri, signal }: Reading): StreamFailure {
  signal.throwIfAborted();
  if (thrown instanceof StreamFailure) return thrown;
  try {
    const { failure, isRetryable } = failureOf(thrown, { uri: redactUri(uri), limit: 0, bytes: null });
    return new StreamFailure(failure.message, { isRetryable });
  } catch (error) {
    // This machine has run out of something, which may pass.
    return new StreamFailure(messageOf(error), { isRetryable: true });
  }
}

function unreadable(thrown: unknown, reading: Reading): LabelmillError {
  const failure = streamFailureOf(thrown, reading);
  const details = { path: redactUri(reading.uri), reason: failure.message };
  return new LabelmillError("RUN_SOURCE_UNREADABLE", details, { cause: thrown });
}
