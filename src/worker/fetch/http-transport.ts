/**
 * Asks servers, for the fetchers that speak HTTP: each host at its own gate, each connection to a guarded address or through
 * the proxy, each request within its caps and deadlines, and again where that may help. What is asked for, and what a refusal
 * means, is for `http.ts` and `s3.ts`, which call it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { failure } from "../../shared/errors.js";
import { plainHost } from "../../shared/http-uri.js";
import { type ProxySettings, proxyAgentOptions } from "../../shared/proxy-settings.js";
import { version } from "../../shared/version.js";
import { Slots } from "../slots.js";
import { type AddressPolicyOptions, createAddressPolicy } from "./address-policy.js";
import type { Admit } from "./fetcher.js";
import { createDial, createGuardedConnect, type Dial } from "./guarded-connect.js";
import { createHostGates, type HostGates } from "./host-gates.js";
import { finalFailure, type Reply, type RequestSettings, type RequestTarget, request } from "./http-request.js";
import { createResolveHost, type ResolveHost } from "./resolve-host.js";

/** See the table of options. */
export interface HttpPolicy extends AddressPolicyOptions {
  readonly perHost: number;
  readonly rate: number | null;
  readonly fetchRetries: number;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly fetchTimeoutMs: number;
  readonly contact: string | null;
  readonly respectRobotsTag: boolean;
}

export interface TransportOptions {
  readonly policy: HttpPolicy;
  readonly maxItemBytes: number;
  /** It makes the connections, and resolves the names: what it may reach is for it to decide. @default none */
  readonly proxy?: ProxySettings | null;
  /** Large bodies of one host that are read at once, of the 8 together. @default 1, so that few slow hosts do not hold them all */
  readonly largePerHost?: number;
  /** @default the machine's name servers */
  readonly resolve?: ResolveHost;
  /** @default TCP and TLS */
  readonly dial?: Dial;
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

/** Servers may ask for longer (`Keep-Alive: timeout=600`), and of a list with many hosts each would hold a descriptor so long. */
const longestIdleMs = 4_000;
/** Connections kept for a next request; what more are needed end with their answer. Descriptors may be limited to 1,024. */
const mostIdle = 256;
/** Large bodies read at once. */
export const mostLarge = 8;
/** Of the pause before the second try; doubles. The pause is that or up to twice as long, so that a host's items spread. */
const firstPauseMs = 250;
/** Longer is not waited for: the row says how long the server asks for. */
const longestPauseMs = 30_000;
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
  const { policy, maxItemBytes, resolve = createResolveHost(), dial = createDial() } = options;
  const { connectTimeoutMs, headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, respectRobotsTag } = policy;
  const addresses = createAddressPolicy(policy);
  const connect = createGuardedConnect({ policy: addresses, resolve, dial, connectTimeoutMs });
  const connections = countConnections(connect);
  const dispatcher = createDispatcher(connections.connect, options.proxy ?? null);
  const headers = {
    "user-agent": userAgent(policy.contact),
    accept: "image/*, */*;q=0.5",
    "accept-encoding": "identity",
  };
  const deadlines = { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs };
  const admitLarge = createLargeAdmission(options.largePerHost ?? 1);
  const settings = { dispatcher, maxItemBytes, respectRobotsTag, admitLarge, ...deadlines };
  const gates = createHostGates(policy);
  let active = 0;
  return {
    refusalOfHost: addresses.refusalOfHost,
    // The gate first: whoever waits there holds no slot.
    async ask(target, { signal, admit, shown }) {
      const host = plainHost(target.hostname);
      const leave = await gates.enter(host, signal).catch((error: unknown) => {
        if (error instanceof HostBusy) return error;
        throw error;
      });
      if (leave instanceof HostBusy) return turnedAway(leave, shown);
      try {
        const release = await admit("network");
        active += 1;
        try {
          signal.throwIfAborted();
          const isLast = connections.count() - active >= mostIdle;
          const whole = { ...target, headers: { ...headers, ...target.headers }, isLast };
          const reply = await request(whole, shown, settings, signal);
          if (reply.kind === "busy") heed(reply, host, gates);
          return reply;
        } finally {
          active -= 1;
          release();
        }
      } finally {
        leave();
      }
    },
    close: () => dispatcher.destroy(),
  };
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

/** What is not reached through the proxy is connected to as ever. */
function createDispatcher(connect: buildConnector.connector, proxy: ProxySettings | null): Dispatcher {
  const settings = { connect, keepAliveMaxTimeout: longestIdleMs };
  if (proxy === null) return new Agent(settings);
  return new EnvHttpProxyAgent({ ...settings, ...proxyAgentOptions(proxy) });
}

/** `count` is of the connections that are open. */
function countConnections(connect: buildConnector.connector): { connect: buildConnector.connector; count(): number } {
  let open = 0;
  const counted: buildConnector.connector = (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      open += 1;
      socket.once("close", () => {
        open -= 1;
      });
      callback(null, socket);
    });
  return { connect: counted, count: () => open };
}

/** Honest: who asks, in which version, and whom to tell. */
function userAgent(contact: string | null): string {
  return `labelmill/${version}${contact === null ? "" : ` (+${contact})`}`;
}

/** What became of one try. */
export type Tried = Extract<Reply, { readonly kind: "bytes" | "failed" | "busy" }>;

/** Tries up to `retries` times more while that may help. Rejects with the signal's reason, and as `tryOnce` does. */
export async function tryAgain(
  tryOnce: () => Promise<Tried>,
  { retries, shown, signal }: { readonly retries: number } & Pick<Asking, "shown" | "signal">,
): Promise<Exclude<Tried, { readonly kind: "busy" }>> {
  for (let tries = 1; ; tries += 1) {
    const tried = await tryOnce();
    if (tried.kind === "bytes") return tried;
    const mayRetry = tried.kind === "busy" || tried.isRetryable;
    const askedMs = tried.kind === "busy" ? (tried.waitMs ?? 0) : 0;
    if (!mayRetry || tries > retries || askedMs > longestPauseMs)
      return tried.kind === "busy" ? stillBusy(tried, shown, tries) : tried;
    const pauseMs = firstPauseMs * 2 ** (tries - 1) * (1 + Math.random());
    await sleep(Math.min(longestPauseMs, Math.max(pauseMs, askedMs)), undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    );
  }
}

function stillBusy({ status, waitMs }: Busy, uri: string, tries: number): Extract<Reply, { readonly kind: "failed" }> {
  const asked = waitMs === null ? "" : `; it asks to wait ${secondsOf(waitMs)} s`;
  const value = failure("FETCH_STATUS", { uri, status, after: ` after ${tries} tries${asked}` });
  return { kind: "failed", failure: value, isRetryable: true, isUnreachable: false };
}
