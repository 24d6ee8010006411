/**
 * Fetches from web servers, as a guest: so many requests a host, tries again only where that may help, waits as long as a
 * server asks. Every address is checked before it is connected to, on every redirect (`guarded-connect.ts`); nothing that a
 * server says of its bytes is believed but their length and encoding. Called by `open-fetcher` alone.
 *
 *     fetch: try ──bytes──> done          try: hop ──redirect, at most 5──> hop …
 *       └──may help──> pause ──> try           hop: host's gate, process's slot, one request
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { failure } from "../../shared/errors.js";
import { parseHttpUrl, redactUri } from "../../shared/http-uri.js";
import { version } from "../../shared/version.js";
import { failedWith, type Outcome, succeeded } from "../outcome.js";
import { Slots } from "../slots.js";
import { type AddressPolicyOptions, createAddressPolicy } from "./address-policy.js";
import { type Admit, admitAtOnce, type FetchedBytes, type Fetcher } from "./fetcher.js";
import { createDial, createGuardedConnect, type Dial } from "./guarded-connect.js";
import { createHostGates, type HostGates } from "./host-gates.js";
import { type Reply, type RequestSettings, request } from "./http-request.js";
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

/** Scheme and host (`https://example.org`) -> what is sent there, and nowhere else. */
export type HostHeaders = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** Urls of proxies by the scheme of what is fetched, empty for none, and the hosts that are reached without, as `NO_PROXY` has them. */
export interface ProxySettings {
  readonly http: string;
  readonly https: string;
  readonly direct: string;
}

export interface HttpFetcherOptions {
  readonly policy: HttpPolicy;
  readonly maxItemBytes: number;
  /** @default none */
  readonly hostHeaders?: HostHeaders;
  /** It makes the connections, and resolves the names: what it may reach is for it to decide. @default none */
  readonly proxy?: ProxySettings | null;
  /** @default the machine's name servers */
  readonly resolve?: ResolveHost;
  /** @default TCP and TLS */
  readonly dial?: Dial;
}

/** What became of one try, redirects followed. */
type Tried = Exclude<Reply, { readonly kind: "redirect" }>;

const mostRedirects = 5;
/** Large bodies read at once. */
const mostLarge = 8;
/** Of the pause before the second try; doubles. The pause is that or up to twice as long, so that a host's items spread. */
const firstPauseMs = 250;
/** Longer is not waited for: the row says how long the server asks for. */
const longestPauseMs = 30_000;

/** A fetcher of http: and https: uris; close it. */
export function createHttpFetcher(options: HttpFetcherOptions): Fetcher & { close(): Promise<void> } {
  const { policy, maxItemBytes, hostHeaders = new Map(), resolve = createResolveHost(), dial = createDial() } = options;
  const addresses = createAddressPolicy(policy);
  const { connectTimeoutMs, headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs, respectRobotsTag } = policy;
  const connect = createGuardedConnect({ policy: addresses, resolve, dial, connectTimeoutMs });
  const dispatcher = createDispatcher(connect, options.proxy ?? null);
  const headers = {
    "user-agent": userAgent(policy.contact),
    accept: "image/*, */*;q=0.5",
    "accept-encoding": "identity",
  };
  const deadlines = { headersTimeoutMs, idleTimeoutMs, fetchTimeoutMs };
  const largeSlots = new Slots(mostLarge);
  const settings = { dispatcher, headers, maxItemBytes, respectRobotsTag, largeSlots, ...deadlines };
  const context = { settings, hostHeaders, gates: createHostGates(policy), refusalOfHost: addresses.refusalOfHost };
  return {
    fetch: (uri, signal, admit = admitAtOnce) => fetchUri(uri, policy.fetchRetries, { ...context, signal, admit }),
    close: () => dispatcher.destroy(),
  };
}

/** What is not reached through the proxy is connected to as ever. */
function createDispatcher(connect: buildConnector.connector, proxy: ProxySettings | null): Dispatcher {
  if (proxy === null) return new Agent({ connect });
  const { http: httpProxy, https: httpsProxy, direct: noProxy } = proxy;
  // Proxies refuse tunnels to port 80 as a rule.
  return new EnvHttpProxyAgent({ connect, httpProxy, httpsProxy, noProxy, proxyTunnel: false });
}

/** Honest: who asks, in which version, and whom to tell. */
function userAgent(contact: string | null): string {
  return `labelmill/${version}${contact === null ? "" : ` (+${contact})`}`;
}

interface FetchContext {
  readonly settings: RequestSettings;
  readonly hostHeaders: HostHeaders;
  readonly gates: HostGates;
  readonly refusalOfHost: (hostname: string) => string | null;
  readonly signal: AbortSignal;
  readonly admit: Admit;
}

async function fetchUri(uri: string, retries: number, context: FetchContext): Promise<Outcome<FetchedBytes>> {
  for (let tries = 1; ; tries += 1) {
    const tried = await follow(uri, context);
    if (tried.kind === "bytes") return succeeded(tried.value);
    const mayRetry = tried.kind === "busy" || tried.isRetryable;
    const askedMs = tried.kind === "busy" ? (tried.waitMs ?? 0) : 0;
    if (!mayRetry || tries > retries || askedMs > longestPauseMs) return failedWith(lastFailure(uri, tried, tries));
    const pauseMs = firstPauseMs * 2 ** (tries - 1) * (1 + Math.random());
    await sleep(Math.min(longestPauseMs, Math.max(pauseMs, askedMs)), undefined, { signal: context.signal }).catch(() =>
      context.signal.throwIfAborted(),
    );
  }
}

function lastFailure(uri: string, tried: Exclude<Tried, { readonly kind: "bytes" }>, tries: number) {
  if (tried.kind === "failed") return tried.failure;
  const { status, waitMs } = tried;
  const asked = waitMs === null ? "" : `; it asks to wait ${Math.ceil(waitMs / 1000)} s`;
  return failure("FETCH_STATUS", { uri: redactUri(uri), status, after: ` after ${tries} tries${asked}` });
}

/** One try: the request, and those that redirects lead to. */
async function follow(uri: string, context: FetchContext): Promise<Tried> {
  const shown = redactUri(uri);
  const fail = (code: "FETCH_BLOCKED" | "FETCH_REDIRECT", reason: string): Tried => ({
    kind: "failed",
    failure: failure(code, { uri: shown, reason }),
    isRetryable: false,
  });
  let url = parseHttpUrl(uri);
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    const to = hops === 0 ? "" : "it redirects to an address that is refused: ";
    if (!(url instanceof URL)) return fail("FETCH_BLOCKED", `${to}${url.reason}`);
    const refusal = context.refusalOfHost(url.hostname);
    if (refusal !== null) return fail("FETCH_BLOCKED", `${to}${refusal}`);
    const reply = await hop(url, shown, context);
    if (reply.kind !== "redirect") return reply;
    if (!URL.canParse(reply.location, url.href)) return fail("FETCH_REDIRECT", "its Location is no address");
    url = parseHttpUrl(reply.location, url);
  }
  return fail("FETCH_REDIRECT", `there are more than ${mostRedirects}`);
}

/** One request, when its host's turn and the process's slot have come. The gate first: whoever waits there holds no slot. */
async function hop(url: URL, shown: string, context: FetchContext): Promise<Reply> {
  const { gates, signal, admit, hostHeaders } = context;
  const own = hostHeaders.get(`${url.protocol}//${url.hostname.replace(/\.$/, "")}`);
  const settings = { ...context.settings, headers: { ...context.settings.headers, ...own } };
  const leave = await gates.enter(url.hostname, signal);
  try {
    const release = await admit("network");
    try {
      signal.throwIfAborted();
      const reply = await request(url, shown, settings, signal);
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
