/**
 * Opens the connections of the http fetcher, and none that the address policy forbids. It resolves the name itself and
 * dials the address that it has checked, so an answer that changes between check and use (DNS rebinding) changes nothing;
 * it checks literal addresses, for which undici and Node never ask a `lookup`; and it checks the address that the socket
 * says it is connected to. undici calls it for every new connection, so for every hop to a new host.
 */
import { isIP, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { buildConnector } from "undici";
import { messageOf } from "../../shared/errors.js";
import type { AddressPolicy } from "./address-policy.js";
import type { ResolveHost } from "./resolve-host.js";

/** Connects to `options.hostname`, which is an address here, within the time; TLS included. */
export type Dial = (options: buildConnector.Options, timeoutMs: number) => Promise<Socket>;

/** The policy forbids the host; nothing was sent. `message` is the reason. */
export class Blocked extends Error {}
/** The name has no address. */
export class Unresolved extends Error {
  /** Whether a name server said so; else none answered. */
  readonly isFinal: boolean;

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.isFinal = /ENOTFOUND|ENODATA|EBADNAME/.test(this.message);
  }
}

export interface GuardedConnectSettings {
  readonly policy: AddressPolicy;
  readonly resolve: ResolveHost;
  readonly dial: Dial;
  /** For the name, and again for all dials together. */
  readonly connectTimeoutMs: number;
}

/** A second one where the first does not answer; more would only lengthen the wait for a dead host. */
const mostAddresses = 2;

/** A connector for undici's dispatchers. Fails with Blocked, Unresolved, or the error of the last dial. */
export function createGuardedConnect(settings: GuardedConnectSettings): buildConnector.connector {
  return (options, callback) => {
    connect(options, settings).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
}

async function connect(options: buildConnector.Options, settings: GuardedConnectSettings): Promise<Socket> {
  const { policy, dial, connectTimeoutMs } = settings;
  const addresses = await allowedAddresses(options.hostname, settings);
  // The certificate is checked for the name that was asked for, not for the address that it has now.
  const servername = options.servername || (isIP(options.hostname) === 0 ? options.hostname : "");
  let lastError: unknown;
  for (const address of addresses) {
    try {
      const named = servername === "" ? {} : { servername };
      const socket = await dial({ ...options, hostname: address, ...named }, connectTimeoutMs / addresses.length);
      const refusal = policy.refusalOfAddress(socket.remoteAddress ?? "");
      if (refusal === null) return socket;
      socket.destroy();
      throw new Blocked(refusal);
    } catch (error) {
      if (error instanceof Blocked) throw error;
      lastError = error;
    }
  }
  throw lastError;
}

async function allowedAddresses(
  hostname: string,
  { policy, resolve, connectTimeoutMs }: GuardedConnectSettings,
): Promise<readonly string[]> {
  const found = isIP(hostname) === 0 ? await resolveWithin(connectTimeoutMs, () => resolve(hostname)) : [hostname];
  const allowed = found.filter((address) => policy.refusalOfAddress(address) === null);
  if (allowed.length > 0) return allowed.slice(0, mostAddresses);
  const [first] = found;
  if (first === undefined) throw new Unresolved("ENODATA");
  throw new Blocked(policy.refusalOfAddress(first) ?? "");
}

async function resolveWithin(ms: number, resolve: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const late = new AbortController();
  const silence = sleep(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error("no name server answered within --connect-timeout-ms");
  });
  try {
    return await Promise.race([resolve(), silence]);
  } catch (error) {
    throw new Unresolved(error);
  } finally {
    silence.catch(() => {});
    late.abort();
  }
}

/** The real dialler; keeps TLS sessions, so that a second connection to a host is cheaper. */
export function createDial(): Dial {
  const connectors = new Map<number, buildConnector.connector>();
  return (options, timeoutMs) => {
    let connector = connectors.get(timeoutMs);
    if (connector === undefined) {
      connector = buildConnector({ timeout: timeoutMs });
      connectors.set(timeoutMs, connector);
    }
    const dial = connector;
    return new Promise((resolve, reject) => {
      dial(options, (error, socket) => (error === null ? resolve(socket) : reject(error)));
    });
  };
}
