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
import { httpDate, retryAfterMs, robotsRefusal } from "./http-headers.js";

export type Reply =
  | { readonly kind: "bytes"; readonly value: FetchedBytes }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "failed"; readonly failure: Failure; readonly isRetryable: boolean }
  /** A status that another try may change; `waitMs` is what the server asks for. */
  | { readonly kind: "busy"; readonly status: number; readonly waitMs: number | null };

export interface RequestSettings {
  readonly dispatcher: Dispatcher;
  readonly headers: Readonly<Record<string, string>>;
  readonly respectRobotsTag: boolean;
  readonly maxItemBytes: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** For bodies that are large. */
  readonly largeSlots: Slots;
  /** From the first byte of the request to the last of the body. */
  readonly fetchTimeoutMs: number;
}

const bytesAt: ReadonlySet<number> = new Set([200, 203]);
const redirectAt: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const nothingAt: ReadonlySet<number> = new Set([404, 410]);
const busyAt: ReadonlySet<number> = new Set([408, 425, 429]);
/** Of a body that is not wanted, so that its connection can be used again; more is not worth the wait. */
const mostDumpedBytes = 64 * 1024;

/** Gives every failure as a value. Rejects with `signal.reason` when aborted. `shown` stands for the uri in messages. */
export async function request(url: URL, shown: string, settings: RequestSettings, signal: AbortSignal): Promise<Reply> {
  const { dispatcher, headers, headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, maxItemBytes: limit } = settings;
  const { respectRobotsTag, largeSlots } = settings;
  const deadline = startDeadline(fetchTimeoutMs, signal);
  const large = createLargeTurn(largeSlots, deadline.signal);
  let bytes: number | null = null;
  try {
    const answer = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: "GET",
      headers,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      signal: deadline.signal,
    });
    bytes = 0;
    const onProgress = (soFar: number) => {
      bytes = soFar;
    };
    return await replyOf(answer, { shown, limit, respectRobotsTag, onProgress, admitLarge: large.admit });
  } catch (thrown) {
    signal.throwIfAborted();
    const late = { code: "FETCH_TIMEOUT", reason: "not whole within --fetch-timeout-ms" } as const;
    if (deadline.isOver())
      return { kind: "failed", failure: failure(late.code, { uri: shown, reason: late.reason }), isRetryable: true };
    return { kind: "failed", ...failureOf(thrown, { uri: shown, limit, bytes }) };
  } finally {
    deadline.cancel();
    large.end();
  }
}

interface Reading {
  readonly shown: string;
  readonly respectRobotsTag: boolean;
  readonly limit: number;
  readonly onProgress: (bytes: number) => void;
  readonly admitLarge: () => Promise<void>;
}

async function replyOf(answer: Dispatcher.ResponseData, reading: Reading): Promise<Reply> {
  const { statusCode, body } = answer;
  if (bytesAt.has(statusCode)) return bytesOf(answer, reading);
  await body.dump({ limit: mostDumpedBytes });
  const uri = reading.shown;
  const location = headerOf(answer, "location");
  if (redirectAt.has(statusCode) && location !== undefined) return { kind: "redirect", location };
  if (busyAt.has(statusCode) || statusCode >= 500)
    return { kind: "busy", status: statusCode, waitMs: retryAfterMs(headerOf(answer, "retry-after"), Date.now()) };
  const code = nothingAt.has(statusCode) ? "FETCH_NOT_FOUND" : "FETCH_STATUS";
  return { kind: "failed", failure: failure(code, { uri, status: statusCode, after: "" }), isRetryable: false };
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

/** The first where there are several. */
function headerOf({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  return [headers[name]].flat()[0];
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
