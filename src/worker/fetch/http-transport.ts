/**
 * Asks servers, for the fetchers that speak HTTP: each host at its own gate and none that is given up, each request within its
 * caps and deadlines, and again where that may help. Connections are those of `http-client.ts`; what is asked for, and what a
 * refusal means, is for `http.ts` and `s3.ts`, which call it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../shared/errors.js";
import { plainHost } from "../../shared/http-uri.js";
import { failedWith, type Outcome, succeeded } from "../outcome.js";
import { Slots } from "../slots.js";
import { createDeadHosts, type DeadHostSettings, type DeadHosts, deadHostSettings } from "./dead-hosts.js";
import type { Admit, FetchedBytes } from "./fetcher.js";
import { createHostGates, type HostGates } from "./host-gates.js";
import {
  createHttpClient,
  type HttpClient,
  type HttpClientOptions,
  longestPauseMs,
  pauseAfter,
} from "./http-client.js";
import type { RequestFailure } from "./http-failure.js";
import { finalFailure, type Reply, type RequestSettings, type RequestTarget, request } from "./http-request.js";

export interface TransportOptions extends HttpClientOptions {
  readonly maxItemBytes: number;
  /** Large bodies of one host that are read at once, of the 8 together. @default 1, so that few slow hosts do not hold them all */
  readonly largePerHost?: number;
  /** When a host is given up. @default by the policy's deadlines */
  readonly deadHosts?: DeadHostSettings;
}

/** Who asks: an item's fetch. */
export interface Asking {
  readonly signal: AbortSignal;
  readonly admit: Admit;
  /** Stands for the uri in messages. */
  readonly shown: string;
}

export interface HttpTransport {
  /** Why the host may not be asked, before anything is looked up; null where it may. */
  refusalOfHost(hostname: string): string | null;
  /** One request, when its host's turn and the process's slot have come. Rejects with the signal's reason. */
  ask(target: RequestTarget, asking: Asking): Promise<Reply>;
  close(): Promise<void>;
}

/** Connections kept for a next request; what more are needed end with their answer. Descriptors may be limited to 1,024. */
const mostIdle = 256;
/** Large bodies read at once. */
export const mostLarge = 8;
/** After which a host that asks for longer is asked again. */
const longestClosedMs = 3_600_000;

/** A host asks to be left alone for longer than items wait. */
class HostBusy extends Error {
  readonly status: number;
  readonly untilMs: number;

  constructor(status: number, waitMs: number) {
    super(`status ${status}`);
    this.status = status;
    this.untilMs = Date.now() + waitMs;
  }
}

/** Close it. */
export function openHttpTransport(options: TransportOptions): HttpTransport {
  const { policy, maxItemBytes } = options;
  const client = createHttpClient(options);
  const { dispatcher, refusalOfHost } = client;
  const { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, respectRobotsTag } = policy;
  const deadlines = { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs };
  const admitLarge = createLargeAdmission(options.largePerHost ?? 1);
  const settings = { dispatcher, maxItemBytes, respectRobotsTag, admitLarge, ...deadlines };
  const gates = createHostGates(policy);
  const deadHosts = createDeadHosts(options.deadHosts ?? deadHostSettings(policy));
  const askNow = createAskNow({ client, settings, gates, deadHosts });
  return {
    refusalOfHost,
    // The gate first: whoever waits there holds no slot.
    async ask(target, asking) {
      const leave = await gates.enter(plainHost(target.hostname), asking.signal).catch((error: unknown) => {
        if (error instanceof HostBusy) return error;
        throw error;
      });
      if (leave instanceof HostBusy) return turnedAway(leave, asking.shown);
      try {
        return await askNow(target, asking);
      } finally {
        leave();
      }
    },
    close: client.close,
  };
}

interface AskContext {
  readonly client: HttpClient;
  readonly settings: RequestSettings;
  readonly gates: HostGates;
  readonly deadHosts: DeadHosts;
}

/** One request, for whoever has its host's turn, when the process's slot has come. */
function createAskNow({ client, settings, gates, deadHosts }: AskContext): HttpTransport["ask"] {
  let active = 0;
  return async (target, { signal, admit, shown }) => {
    // Not before: the host may have been given up while its turn was waited for.
    const refusal = deadHosts.refusal(target.origin, performance.now());
    if (refusal !== null) return givenUp(refusal, shown);
    const release = await admit("network");
    active += 1;
    try {
      signal.throwIfAborted();
      const isLast = client.countConnections() - active >= mostIdle;
      const whole = { ...target, headers: { ...client.headers, ...target.headers }, isLast };
      const reply = await request(whole, shown, settings, signal);
      if (reply.kind === "failed" && reply.isUnanswered)
        deadHosts.failed(target.origin, reply.failure.code, performance.now());
      else deadHosts.answered(target.origin);
      if (reply.kind === "busy") heed(reply, plainHost(target.hostname), gates);
      return reply;
    } finally {
      active -= 1;
      release();
    }
  };
}

type GivenUp = NonNullable<ReturnType<DeadHosts["refusal"]>>;

/** It says nothing of what was asked for, as where no connection is made. */
function givenUp({ code, reason }: GivenUp, uri: string): RequestFailure {
  return { ...finalFailure(failure(code, { uri, reason })), isUnreachable: true };
}

/** The host's turn first: whoever waits for it holds nothing that another host needs. */
function createLargeAdmission(perHost: number): RequestSettings["admitLarge"] {
  const gates = createHostGates({ perHost, rate: null });
  const slots = new Slots(mostLarge);
  return async (hostname, signal) => {
    const leave = await gates.enter(plainHost(hostname), signal);
    const giveBack = await acquireUnlessAborted(slots, signal).catch((error: unknown) => {
      leave();
      throw error;
    });
    return () => {
      giveBack();
      leave();
    };
  };
}

function acquireUnlessAborted(slots: Slots, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const giveUp = () => reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    void slots.acquire(0).then((giveBack) => {
      signal.removeEventListener("abort", giveUp);
      if (signal.aborted) giveBack();
      else resolve(giveBack);
    });
  });
}

type Busy = Extract<Reply, { readonly kind: "busy" }>;

/** Leaves the host alone for as long as it asks. */
function heed({ status, waitMs }: Busy, host: string, gates: HostGates): void {
  if (waitMs === null) return;
  if (waitMs <= longestPauseMs) gates.pause(host, waitMs);
  else gates.close(host, Math.min(waitMs, longestClosedMs), new HostBusy(status, waitMs));
}

/** For an item that has not been asked for. */
function turnedAway({ status, untilMs }: HostBusy, uri: string): Reply {
  const after = ` for its whole host, which asks to wait ${secondsOf(untilMs - Date.now())} s more`;
  return finalFailure(failure("FETCH_STATUS", { uri, status, after }));
}

const secondsOf = (ms: number) => Math.max(0, Math.ceil(ms / 1000));

/** What became of one try. */
export type Tried = Extract<Reply, { readonly kind: "bytes" | "unchanged" | "failed" | "busy" }>;

/** Tries up to `retries` times more while that may help. Rejects with the signal's reason, and as `tryOnce` does. */
export async function tryAgain(
  tryOnce: () => Promise<Tried>,
  { retries, shown, signal }: { readonly retries: number } & Pick<Asking, "shown" | "signal">,
): Promise<Exclude<Tried, { readonly kind: "busy" }>> {
  for (let tries = 1; ; tries += 1) {
    const tried = await tryOnce();
    if (tried.kind === "bytes" || tried.kind === "unchanged") return tried;
    const mayRetry = tried.kind === "busy" || tried.isRetryable;
    const askedMs = tried.kind === "busy" ? (tried.waitMs ?? 0) : 0;
    if (!mayRetry || tries > retries || askedMs > longestPauseMs)
      return tried.kind === "busy" ? stillBusy(tried, shown, tries) : tried;
    await sleep(pauseAfter(tries, askedMs), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** What a request that was tried as often as it may be came to. */
export function outcomeOf(tried: Exclude<Tried, { readonly kind: "busy" }>): Outcome<FetchedBytes> | "unchanged" {
  if (tried.kind === "unchanged") return "unchanged";
  return tried.kind === "bytes" ? succeeded(tried.value) : failedWith(tried.failure);
}

function stillBusy({ status, waitMs }: Busy, uri: string, tries: number): RequestFailure {
  const asked = waitMs === null ? "" : `; it asks to wait ${secondsOf(waitMs)} s`;
  const value = failure("FETCH_STATUS", { uri, status, after: ` after ${tries} tries${asked}` });
  return { ...finalFailure(value), isRetryable: true };
}
