/**
 * One request and its answer: the bytes, where to ask instead, or why there are none. It knows deadlines, caps and what a
 * status means; who may be asked is for the connector, and how often for `http.ts`, which calls it.
 */
import { createHash } from "node:crypto";
import type { Dispatcher } from "undici";
import { type Failure, failure } from "../../shared/errors.js";
import type { Slots } from "../slots.js";
import type { FetchedBytes } from "./fetcher.js";
import { contentDecoderOf, readBody, TooLarge } from "./http-body.js";
import { failureOf } from "./http-failure.js";
import { headerOf, httpDate, isBusy, isRedirect, retryAfterMs, robotsRefusal } from "./http-headers.js";

export type Reply =
  | { readonly kind: "bytes"; readonly value: FetchedBytes }
  | { readonly kind: "redirect"; readonly location: string }
  | {
      readonly kind: "failed";
      readonly failure: Failure;
      readonly isRetryable: boolean;
      /** Nothing came from the host, or it has no address; it may be dead. */
      readonly isUnanswered?: boolean;
    }
  /** A status that another try may change; `waitMs` is what the server asks for. */
  | { readonly kind: "busy"; readonly status: number; readonly waitMs: number | null };

export interface RequestSettings {
  readonly dispatcher: Dispatcher;
  readonly headers: Readonly<Record<string, string>>;
  readonly respectRobotsTag: boolean;
  readonly maxItemBytes: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Asks for these bytes alone. */
  readonly range: { readonly offset: number; readonly length: number } | null;
  /** For bodies that are large. */
  readonly largeSlots: Slots;
  /** From the first byte of the request to the last of the body. */
  readonly fetchTimeoutMs: number;
}

const bytesAt: ReadonlySet<number> = new Set([200, 203]);
const nothingAt: ReadonlySet<number> = new Set([404, 410]);
/** Of a body that is not wanted, so that its connection can be used again; more is not worth the wait. */
const mostDumpedBytes = 64 * 1024;

/** Gives every failure as a value. Rejects with `signal.reason` when aborted. `shown` stands for the uri in messages. */
export async function request(url: URL, shown: string, settings: RequestSettings, signal: AbortSignal): Promise<Reply> {
  const { dispatcher, headers, headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, maxItemBytes: limit } = settings;
  const { respectRobotsTag, largeSlots, range } = settings;
  const deadline = startDeadline(fetchTimeoutMs, signal);
  const large = createLargeTurn(largeSlots, deadline.signal);
  let bytes: number | null = null;
  try {
    const answer = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: "GET",
      headers: range === null ? headers : { ...headers, range: `bytes=${range.offset}-${lastByte(range)}` },
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
    const late = failure("FETCH_TIMEOUT", { uri: shown, reason: "not whole within --fetch-timeout-ms" });
    const failed = deadline.isOver()
      ? { failure: late, isRetryable: true }
      : failureOf(thrown, { uri: shown, limit, bytes });
    const isUnanswered = bytes === null && (failed.isRetryable || failed.failure.code === "FETCH_DNS");
    return { kind: "failed", ...failed, isUnanswered };
  } finally {
    deadline.cancel();
    large.end();
  }
}

interface Reading extends Pick<RequestSettings, "range"> {
  readonly shown: string;
  readonly respectRobotsTag: boolean;
  readonly limit: number;
  readonly onProgress: (bytes: number) => void;
  readonly admitLarge: () => Promise<void>;
}

async function replyOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { statusCode, body } = answer;
  if (reading.range !== null && (statusCode === 206 || bytesAt.has(statusCode))) return partOf(answer, reading);
  if (bytesAt.has(statusCode)) return bytesOf(answer, reading);
  await body.dump({ limit: mostDumpedBytes });
  const uri = reading.shown;
  const location = headerOf(answer, "location");
  if (isRedirect(statusCode) && location !== undefined) return { kind: "redirect", location };
  if (isBusy(statusCode))
    return { kind: "busy", status: statusCode, waitMs: retryAfterMs(headerOf(answer, "retry-after"), Date.now()) };
  if (reading.range !== null && statusCode === 416) return truncated(uri, 0);
  const code = nothingAt.has(statusCode) ? "FETCH_NOT_FOUND" : "FETCH_STATUS";
  return { kind: "failed", failure: failure(code, { uri, status: statusCode, after: "" }), isRetryable: false };
}

/** The bytes of the range that was asked for, or why they are not what comes. */
async function partOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { shown, range } = reading;
  const reason = rangeRefusal(answer, range);
  if (reason !== null) {
    answer.body.on("error", () => {}).destroy();
    return { kind: "failed", failure: failure("FETCH_UNSUPPORTED", { uri: shown, reason }), isRetryable: false };
  }
  const reply = await bytesOf(answer, reading);
  if (reply.kind !== "bytes" || range === null || reply.value.bytes.length === range.length) return reply;
  return truncated(shown, reply.value.bytes.length);
}

function rangeRefusal(answer: Dispatcher.ResponseData, range: RequestSettings["range"]): string | null {
  if (range === null) return null;
  if (answer.statusCode !== 206) return "its server ignores Range and would send the whole shard; download that";
  const found = headerOf(answer, "content-range") ?? "none";
  const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(found) ?? [];
  const claimed = Number(headerOf(answer, "content-length") ?? 0);
  const isAsked = Number(first) === range.offset && Number(last) <= lastByte(range) && claimed <= range.length;
  if (!isAsked) return `its server answered with another range (${found.slice(0, 100)})`;
  const encoding = headerOf(answer, "content-encoding") ?? "identity";
  return encoding === "identity" ? null : `its server sends ranges in the content encoding ${encoding.slice(0, 100)}`;
}

function lastByte({ offset, length }: { readonly offset: number; readonly length: number }): number {
  return offset + length - 1;
}

function truncated(uri: string, bytes: number): Reply {
  const reason = "its shard ends before";
  return { kind: "failed", failure: failure("FETCH_TRUNCATED", { uri, bytes, reason }), isRetryable: false };
}

async function bytesOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { body } = answer;
  const refusal = refusalOf(answer, reading);
  const decoder = contentDecoderOf(headerOf(answer, "content-encoding") ?? "");
  const { limit } = reading;
  const claimed = Number(headerOf(answer, "content-length") ?? 0);
  if (refusal !== null || decoder === undefined || claimed > limit) {
    // Destroyed unread; what that says about the connection is of no interest.
    body.on("error", () => {}).destroy();
    if (refusal === null) throw new TooLarge(claimed);
    return { kind: "failed", failure: refusal, isRetryable: false };
  }
  const bytes = await readBody(body, decoder, reading);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const etag = headerOf(answer, "etag") ?? null;
  return { kind: "bytes", value: { bytes, sha256, etag, modifiedAt: httpDate(headerOf(answer, "last-modified")) } };
}

/** Why a body is not read, whatever it holds. */
function refusalOf(answer: Dispatcher.ResponseData, { shown, respectRobotsTag }: Reading): Failure | null {
  const encoding = headerOf(answer, "content-encoding") ?? "";
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

/** One request's turn among the large ones: waited for until the deadline, given back at the end. */
function createLargeTurn(slots: Slots, signal: AbortSignal): { admit(): Promise<void>; end(): void } {
  let isOver = false;
  let release = () => {};
  return {
    admit: () =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        void slots.acquire(0).then((giveBack) => {
          if (isOver) return giveBack();
          release = giveBack;
          resolve();
        });
      }),
    end() {
      isOver = true;
      release();
    },
  };
}
