/**
 * What every request to a web server shares, whole images, parts of shards and lists alike: guarded connections, perhaps
 * through a proxy, the headers that say who asks, and which hosts may be asked.
 */
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { version } from "../../shared/version.js";
import { type AddressPolicyOptions, createAddressPolicy } from "./address-policy.js";
import { createDial, createGuardedConnect, type Dial } from "./guarded-connect.js";
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

export interface HttpClientOptions {
  readonly policy: HttpPolicy;
  /** @default none */
  readonly hostHeaders?: HostHeaders;
  /** It makes the connections, and resolves the names: what it may reach is for it to decide. @default none */
  readonly proxy?: ProxySettings | null;
  /** @default the machine's name servers */
  readonly resolve?: ResolveHost;
  /** @default TCP and TLS */
  readonly dial?: Dial;
}

export interface HttpClient {
  readonly dispatcher: Dispatcher;
  /** What is sent to that host. */
  headersFor(url: URL): Readonly<Record<string, string>>;
  /** As in `address-policy`. */
  refusalOfHost(hostname: string): string | null;
  /** Ends its connections; what is under way fails. */
  close(): Promise<void>;
}

/** Redirects that are followed, each checked as if it were what was asked for. */
export const mostRedirects = 5;
/** Of the pause before the second try; doubles. The pause is that or up to twice as long, so that a host's items spread. */
const firstPauseMs = 250;
/** Longer is not waited for: the failure says how long the server asks for. */
export const longestPauseMs = 30_000;

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { policy, hostHeaders = new Map(), resolve = createResolveHost(), dial = createDial() } = options;
  const addresses = createAddressPolicy(policy);
  const { connectTimeoutMs } = policy;
  const connect = createGuardedConnect({ policy: addresses, resolve, dial, connectTimeoutMs });
  const dispatcher = createDispatcher(connect, options.proxy ?? null);
  const headers = {
    "user-agent": userAgent(policy.contact),
    accept: "image/*, */*;q=0.5",
    "accept-encoding": "identity",
  };
  return {
    dispatcher,
    headersFor: (url) => ({ ...headers, ...hostHeaders.get(`${url.protocol}//${url.hostname.replace(/\.$/, "")}`) }),
    refusalOfHost: addresses.refusalOfHost,
    close: () => dispatcher.destroy(),
  };
}

/** How long to wait after try number `tries`, from 1, where the server asks for `askedMs`. */
export function pauseAfter(tries: number, askedMs: number): number {
  const pauseMs = firstPauseMs * 2 ** (tries - 1) * (1 + Math.random());
  return Math.min(longestPauseMs, Math.max(pauseMs, askedMs));
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
