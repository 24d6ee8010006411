/**
 * One request and its answer: the bytes, or why there are none. It knows deadlines, caps, and which statuses pass; who may be
 * asked is for the connector, how often for `http-transport.ts`, which calls it, and what a refusal means for the fetchers.
 */
import { createHash } from "node:crypto";
import type { Dispatcher } from "undici";
import { type Failure, failure } from "../../shared/errors.js";
import type { FetchedBytes, KnownBytes } from "./fetcher.js";
import { contentDecoderOf, readBody, TooLarge } from "./http-body.js";
import { failureOf, type RequestFailure } from "./http-failure.js";
import { conditionOf, type Headers, headerOf, httpDate, isBusy, retryAfterMs, robotsRefusal } from "./http-headers.js";

export type Reply =
  | { readonly kind: "bytes"; readonly value: FetchedBytes }
  /** They are the known ones, says the server. */
  | { readonly kind: "unchanged" }
  | RequestFailure
  /** A status that another try may change; `waitMs` is what the server asks for. */
  | { readonly kind: "busy"; readonly status: number; readonly waitMs: number | null }
  | Refusal;

/** Any other status. */
export interface Refusal {
  readonly kind: "refused";
  readonly status: number;
  readonly headers: Headers;
  /** What comes of it in 2 s, its first 64 KiB. */
  readonly body: string;
}

/** Consecutive bytes of what is asked for. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What is asked for. */
export interface RequestTarget {
  readonly origin: string;
  readonly hostname: string;
  /** As it is sent, with the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Asks for these bytes alone; fewer are a failure. It stands for the cap of an item. @default all of them */
  readonly range?: ByteRange;
  /** Asks for nothing where the bytes are still these. @default nothing is known */
  readonly unless?: KnownBytes;
  /** Its connection ends with its answer. @default false */
  readonly isLast?: boolean;
}

/** A failure that no other try would change. */
export const finalFailure = (value: Failure): RequestFailure => ({
  kind: "failed",
  failure: value,
  isRetryable: false,
  isUnreachable: false,
  isUnanswered: false,
});

export interface RequestSettings {
  readonly dispatcher: Dispatcher;
  readonly respectRobotsTag: boolean;
  readonly maxItemBytes: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Resolves, with the function that gives it back, when a large body of that host has its turn. Rejects with the signal's reason. */
  readonly admitLarge: (hostname: string, signal: AbortSignal) => Promise<() => void>;
  /** From the first byte of the request to the last of the body. */
  readonly fetchTimeoutMs: number;
}

const bytesAt: ReadonlySet<number> = new Set([200, 203]);
/** Of a body that is no image, so that its connection can be used again; more is not worth the wait. */
const mostRefusalBytes = 64 * 1024;
/** Nor is a longer wait for the rest of it: it would hold the host's turn and the process's slot. */
const longestRefusalMs = 2_000;

/** Gives failures as values, but for STORAGE_FAILED where this machine fails. Rejects with `signal.reason` when aborted. `shown` stands for the uri in messages. */
export async function request(
  { origin, hostname, path, headers, range, unless, isLast = false }: RequestTarget,
  shown: string,
  settings: RequestSettings,
  signal: AbortSignal,
): Promise<Reply> {
  const { dispatcher, headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, respectRobotsTag } = settings;
  const limit = range?.length ?? settings.maxItemBytes;
  const deadline = startDeadline(fetchTimeoutMs, signal);
  const large = createLargeTurn(() => settings.admitLarge(hostname, deadline.signal));
  let bytes: number | null = null;
  try {
    const answer = await dispatcher.request({
      origin,
      path,
      method: "GET",
      headers: {
        ...headers,
        ...(range && { range: `bytes=${range.offset}-${lastByte(range)}` }),
        ...(unless && conditionOf(unless)),
      },
      reset: isLast,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      signal: deadline.signal,
    });
    bytes = 0;
    const onProgress = (soFar: number) => {
      bytes = soFar;
    };
    return await replyOf(answer, { shown, limit, range, respectRobotsTag, onProgress, admitLarge: large.admit });
  } catch (thrown) {
    signal.throwIfAborted();
    if (!deadline.isOver()) return failureOf(thrown, { uri: shown, limit, bytes });
    const late = failure("FETCH_TIMEOUT", { uri: shown, reason: "not whole within --fetch-timeout-ms" });
    return { ...finalFailure(late), isRetryable: true, isUnanswered: bytes === null };
  } finally {
    deadline.cancel();
    large.end();
  }
}

interface Reading {
  readonly shown: string;
  readonly respectRobotsTag: boolean;
  readonly limit: number;
  readonly range: ByteRange | undefined;
  readonly onProgress: (bytes: number) => void;
  readonly admitLarge: () => Promise<void>;
}

async function replyOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { statusCode: status, headers } = answer;
  const { range, shown } = reading;
  if (range !== undefined && (status === 206 || bytesAt.has(status))) return partOf(answer, range, reading);
  if (bytesAt.has(status)) return bytesOf(answer, reading);
  if (status === 304) return unchanged(answer, reading);
  const body = await startOf(answer.body);
  if (range !== undefined && status === 416) return endsBefore(shown, 0);
  if (!isBusy(status)) return { kind: "refused", status, headers, body };
  return { kind: "busy", status, waitMs: retryAfterMs(headerOf(headers, "retry-after"), Date.now()) };
}

/** Its headers may still say that nobody is to use the bytes. */
function unchanged(answer: Dispatcher.ResponseData, reading: Reading): Reply {
  answer.body.on("error", () => {}).resume();
  const refusal = refusalOf(answer, reading);
  return refusal === null ? { kind: "unchanged" } : finalFailure(refusal);
}

/** What comes of the body within the limit; where it breaks off, the status stands nevertheless. */
async function startOf(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const blocks: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(() => body.destroy(), longestRefusalMs);
  try {
    for await (const block of body as AsyncIterable<Buffer>) {
      blocks.push(block);
      bytes += block.length;
      if (bytes > mostRefusalBytes) break;
    }
  } catch {
    // The caller looks at its signal, and has the status for all else.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(blocks).toString("utf8", 0, mostRefusalBytes);
}

/** The bytes of `range`, or why they are not what comes. */
async function partOf(answer: Dispatcher.ResponseData, range: ByteRange, reading: Reading): Promise<Reply> {
  const reason = rangeRefusal(answer, range);
  if (reason !== null) {
    answer.body.on("error", () => {}).destroy();
    return finalFailure(failure("FETCH_UNSUPPORTED", { uri: reading.shown, reason }));
  }
  const reply = await bytesOf(answer, reading);
  if (reply.kind !== "bytes" || reply.value.bytes.length === range.length) return reply;
  const { length: bytes } = reply.value.bytes;
  const total = Number(
    /\/(\d+)$/.exec(headerOf(answer.headers, "content-range") ?? "")?.[1] ?? Number.POSITIVE_INFINITY,
  );
  if (total <= lastByte(range)) return endsBefore(reading.shown, bytes);
  // A server may send less than it was asked for, and a body without a length may end early unnoticed (RFC 9110, 15.3.7).
  const short = failure("FETCH_TRUNCATED", { uri: reading.shown, bytes, reason: `it was asked for ${range.length}` });
  return { ...finalFailure(short), isRetryable: true };
}

function rangeRefusal({ statusCode, headers }: Dispatcher.ResponseData, range: ByteRange): string | null {
  if (statusCode !== 206) return "its server ignores Range and would send the whole shard; download that";
  const found = headerOf(headers, "content-range") ?? "none";
  const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(found) ?? [];
  const claimed = Number(headerOf(headers, "content-length") ?? 0);
  const isAsked = Number(first) === range.offset && Number(last) <= lastByte(range) && claimed <= range.length;
  if (!isAsked) return `its server answered with another range (${found.slice(0, 100)})`;
  const encoding = headerOf(headers, "content-encoding") ?? "identity";
  return encoding === "identity" ? null : `its server sends ranges in the content encoding ${encoding.slice(0, 100)}`;
}

function lastByte({ offset, length }: ByteRange): number {
  return offset + length - 1;
}

function endsBefore(uri: string, bytes: number): RequestFailure {
  return finalFailure(failure("FETCH_TRUNCATED", { uri, bytes, reason: "its shard ends before" }));
}

async function bytesOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { body } = answer;
  const refusal = refusalOf(answer, reading);
  const decoder = contentDecoderOf(headerOf(answer.headers, "content-encoding") ?? "");
  const { limit } = reading;
  const claimed = Number(headerOf(answer.headers, "content-length") ?? 0);
  if (refusal !== null || decoder === undefined || claimed > limit) {
    // Destroyed unread; what that says about the connection is of no interest.
    body.on("error", () => {}).destroy();
    if (refusal === null) throw new TooLarge(claimed);
    return finalFailure(refusal);
  }
  const bytes = await readBody(body, decoder, reading);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const etag = headerOf(answer.headers, "etag") ?? null;
  return {
    kind: "bytes",
    value: { bytes, sha256, etag, modifiedAt: httpDate(headerOf(answer.headers, "last-modified")) },
  };
}

/** Why a body is not read, whatever it holds. */
function refusalOf(answer: Dispatcher.ResponseData, { shown, respectRobotsTag }: Reading): Failure | null {
  const encoding = headerOf(answer.headers, "content-encoding") ?? "";
  if (contentDecoderOf(encoding) === undefined) {
    const reason = `its content encoding \`${encoding.slice(0, 100)}\` is not known`;
    return failure("FETCH_UNSUPPORTED", { uri: shown, reason });
  }
  const tags = [answer.headers["x-robots-tag"] ?? []].flat();
  const tag = respectRobotsTag ? robotsRefusal(tags) : null;
  return tag === null ? null : failure("POLICY_ROBOTS", { uri: shown, tag });
}

interface RequestDeadline {
  readonly signal: AbortSignal;
  isOver(): boolean;
  cancel(): void;
}

/** By hand: `AbortSignal.any` of a signal that lives as long as a chunk keeps every request's own one. */
function startDeadline(ms: number, outer: AbortSignal): RequestDeadline {
  const controller = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    controller.abort();
  }, ms);
  const abort = () => controller.abort(outer.reason);
  if (outer.aborted) abort();
  else outer.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    isOver: () => isOver,
    cancel() {
      clearTimeout(timer);
      outer.removeEventListener("abort", abort);
    },
  };
}

/** One request's turn among the large ones: asked for once, given back at the end, also where it comes after that. */
function createLargeTurn(acquire: () => Promise<() => void>): { admit(): Promise<void>; end(): void } {
  let isOver = false;
  let release = () => {};
  return {
    async admit() {
      const giveBack = await acquire();
      if (isOver) giveBack();
      else release = giveBack;
    },
    end() {
      isOver = true;
      release();
    },
  };
}
