/**
 * What every request to a server shares, whole images, parts of shards, objects and lists alike: guarded connections, perhaps
 * through a proxy, the headers that say who asks, which hosts may be asked, and the pauses between tries.
 */
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { type ProxySettings, proxyAgentOptions } from "../../shared/proxy-settings.js";
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

/** Scheme, host and port (`https://example.org`, as `plainOrigin` has it) -> what is sent there, and nowhere else. */
export type HostHeaders = ReadonlyMap<string, Readonly<Record<string, string>>>;

export interface HttpClientOptions {
  readonly policy: HttpPolicy;
  /** It makes the connections, and resolves the names: what it may reach is for it to decide. @default none */
  readonly proxy?: ProxySettings | null;
  /** @default the machine's name servers */
  readonly resolve?: ResolveHost;
  /** @default TCP and TLS */
  readonly dial?: Dial;
}

export interface HttpClient {
  readonly dispatcher: Dispatcher;
  /** What is sent to every host. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why the host may not be asked, before anything is looked up; null where it may. */
  refusalOfHost(hostname: string): string | null;
  /** Of the connections that are open. */
  countConnections(): number;
  /** Ends its connections; what is under way fails. */
  close(): Promise<void>;
}

/** Redirects that are followed, each checked as if it were what was asked for. */
export const mostRedirects = 5;
/** Servers may ask for longer (`Keep-Alive: timeout=600`), and of a list with many hosts each would hold a descriptor so long. */
const longestIdleMs = 4_000;
/** Of the pause before the second try; doubles. The pause is that or up to twice as long, so that a host's items spread. */
const firstPauseMs = 250;
/** Longer is not waited for: the failure says how long the server asks for. */
export const longestPauseMs = 30_000;

/** Close it. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { policy, resolve = createResolveHost(), dial = createDial() } = options;
  const addresses = createAddressPolicy(policy);
  const { connectTimeoutMs } = policy;
  const connections = countConnections(createGuardedConnect({ policy: addresses, resolve, dial, connectTimeoutMs }));
  const dispatcher = createDispatcher(connections.connect, options.proxy ?? null);
  return {
    dispatcher,
    headers: {
      "user-agent": userAgent(policy.contact),
      accept: "image/*, */*;q=0.5",
      "accept-encoding": "identity",
    },
    refusalOfHost: addresses.refusalOfHost,
    countConnections: connections.count,
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
