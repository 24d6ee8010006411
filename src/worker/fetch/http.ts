/**
 * Fetches from web servers, as a guest: so many requests a host, tries again only where that may help, waits as long as a
 * server asks. Every address is checked before it is connected to, on every redirect (`guarded-connect.ts`); nothing that a
 * server says of its bytes is believed but their length and encoding. Called by `open-fetcher` alone.
 *
 *     fetch: try ──bytes──> done          try: hop ──redirect, at most 5──> hop …
 *       └──may help──> pause ──> try           hop: host's gate, process's slot, one request
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../shared/errors.js";
import { parseHttpUrl, parseUrl, redactUri } from "../../shared/http-uri.js";
import { failedWith, type Outcome, succeeded } from "../outcome.js";
import { Slots } from "../slots.js";
import { createDeadHosts, type DeadHostSettings, type DeadHosts, deadHostSettings } from "./dead-hosts.js";
import { type Admit, admitAtOnce, type FetchedBytes, type Fetcher } from "./fetcher.js";
import { createHostGates, type HostGates } from "./host-gates.js";
import {
  createHttpClient,
  type HttpClient,
  type HttpClientOptions,
  longestPauseMs,
  mostRedirects,
  pauseAfter,
} from "./http-client.js";
import { type Reply, type RequestSettings, request } from "./http-request.js";
import type { ReadPart } from "./read-part.js";

export interface HttpFetcherOptions extends HttpClientOptions {
  readonly maxItemBytes: number;
  /** @default by the policy's deadlines */
  readonly deadHosts?: DeadHostSettings;
}

/** What became of one try, redirects followed. */
type Tried = Exclude<Reply, { readonly kind: "redirect" }>;

/** Large bodies read at once. */
const mostLarge = 8;

/** Gets whole files of http: and https: uris, and parts of them; close it. */
export interface HttpFetcher extends Fetcher {
  readonly readPart: ReadPart;
  close(): Promise<void>;
}

export function createHttpFetcher(options: HttpFetcherOptions): HttpFetcher {
  const { policy, maxItemBytes } = options;
  const client = createHttpClient(options);
  const { dispatcher } = client;
  const { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, respectRobotsTag } = policy;
  const deadlines = { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs };
  const largeSlots = new Slots(mostLarge);
  const settings = { dispatcher, maxItemBytes, respectRobotsTag, largeSlots, range: null, ...deadlines };
  const deadHosts = createDeadHosts(options.deadHosts ?? deadHostSettings(policy));
  const context = { settings, client, deadHosts, gates: createHostGates(policy) };
  const { fetchRetries } = policy;
  return {
    fetch: (uri, signal, admit = admitAtOnce) =>
      fetchUri(uri, fetchRetries, { ...context, shown: redactUri(uri), signal, admit }),
    readPart: ({ archive, shown, offset, length }, signal, admit) => {
      // The shard's header comes with an item's bytes, beyond what the item may have.
      const part = { ...settings, maxItemBytes: length, range: { offset, length } };
      return fetchUri(archive, fetchRetries, { ...context, settings: part, shown, signal, admit });
    },
    close: client.close,
  };
}

interface FetchContext {
  /** Stands for the uri in messages. */
  readonly shown: string;
  readonly settings: Omit<RequestSettings, "headers">;
  readonly client: HttpClient;
  readonly gates: HostGates;
  readonly deadHosts: DeadHosts;
  readonly signal: AbortSignal;
  readonly admit: Admit;
}

async function fetchUri(uri: string, retries: number, context: FetchContext): Promise<Outcome<FetchedBytes>> {
  for (let tries = 1; ; tries += 1) {
    const tried = await follow(uri, context);
    if (tried.kind === "bytes") return succeeded(tried.value);
    const mayRetry = tried.kind === "busy" || tried.isRetryable;
    const askedMs = tried.kind === "busy" ? (tried.waitMs ?? 0) : 0;
    if (!mayRetry || tries > retries || askedMs > longestPauseMs)
      return failedWith(lastFailure(context.shown, tried, tries));
    await sleep(pauseAfter(tries, askedMs), undefined, { signal: context.signal }).catch(() =>
      context.signal.throwIfAborted(),
    );
  }
}

function lastFailure(shown: string, tried: Exclude<Tried, { readonly kind: "bytes" }>, tries: number) {
  if (tried.kind === "failed") return tried.failure;
  const { status, waitMs } = tried;
  const asked = waitMs === null ? "" : `; it asks to wait ${Math.ceil(waitMs / 1000)} s`;
  return failure("FETCH_STATUS", { uri: shown, status, after: ` after ${tries} tries${asked}` });
}

/** One try: the request, and those that redirects lead to. */
async function follow(uri: string, context: FetchContext): Promise<Tried> {
  const { shown } = context;
  const fail = (code: "FETCH_BLOCKED" | "FETCH_REDIRECT", reason: string): Tried => ({
    kind: "failed",
    failure: failure(code, { uri: shown, reason }),
    isRetryable: false,
  });
  let url = parseHttpUrl(uri);
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    const to = hops === 0 ? "" : "it redirects to an address that is refused: ";
    if (!(url instanceof URL)) return fail("FETCH_BLOCKED", `${to}${url.reason}`);
    const refusal = context.client.refusalOfHost(url.hostname);
    if (refusal !== null) return fail("FETCH_BLOCKED", `${to}${refusal}`);
    const reply = await hop(url, context);
    if (reply.kind !== "redirect") return reply;
    if (parseUrl(reply.location, url.href) === null) return fail("FETCH_REDIRECT", "its Location is no address");
    url = parseHttpUrl(reply.location, url);
  }
  return fail("FETCH_REDIRECT", `there are more than ${mostRedirects}`);
}

/** One request, when its host's turn and the process's slot have come. The gate first: whoever waits there holds no slot. */
async function hop(url: URL, context: FetchContext): Promise<Reply> {
  const { shown, gates, deadHosts, signal, admit } = context;
  const settings = { ...context.settings, headers: context.client.headersFor(url) };
  const leave = await gates.enter(url.hostname, signal);
  try {
    // Asked last, since the host may have been given up while the gate was waited for.
    const refusal = deadHosts.refusal(url.origin, performance.now());
    if (refusal !== null) {
      const { code, reason } = refusal;
      return { kind: "failed", failure: failure(code, { uri: shown, reason }), isRetryable: false };
    }
    const release = await admit("network");
    try {
      signal.throwIfAborted();
      const reply = await request(url, shown, settings, signal);
      if (reply.kind === "failed" && reply.isUnanswered)
        deadHosts.failed(url.origin, reply.failure.code, performance.now());
      else deadHosts.answered(url.origin);
      if (reply.kind === "busy" && reply.waitMs !== null)
        gates.pause(url.hostname, Math.min(reply.waitMs, longestPauseMs));
      return reply;
    } finally {
      release();
    }
  } finally {
    leave();
  }
}
