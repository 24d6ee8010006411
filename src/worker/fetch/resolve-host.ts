import { lookup, Resolver } from "node:dns/promises";
import { systemCode } from "../../shared/errors.js";
import { plainHost } from "../../shared/http-uri.js";

/** The addresses of a host name, best first, at least one; rejects with the resolver's error. */
export type ResolveHost = (hostname: string) => Promise<readonly string[]>;

/** In milliseconds, for each of two tries a name server. */
const queryTimeoutMs = 3_000;
/** The name servers know no such name, or no such record of it. */
const absent: readonly unknown[] = ["ENOTFOUND", "ENODATA"];

/**
 * Asks the machine's name servers directly: getaddrinfo works in Node's four shared threads, where four dead names would
 * stop file access for everybody. What they do not know (names of the hosts file or of a search domain) getaddrinfo may
 * still find. IPv6 is asked for where there is no IPv4: most machines have IPv4 only. `localhost` and what is below it is
 * this machine (RFC 6761), whatever a name server says.
 */
export function createResolveHost(): ResolveHost {
  const resolver = new Resolver({ timeout: queryTimeoutMs, tries: 2 });
  const ask = (query: () => Promise<string[]>) =>
    query().catch((error: unknown) => {
      if (absent.includes(systemCode(error))) return [];
      throw error;
    });
  return async (hostname) => {
    if (/(^|\.)localhost$/.test(plainHost(hostname))) return ["127.0.0.1", "::1"];
    const v4 = await ask(() => resolver.resolve4(hostname));
    if (v4.length > 0) return v4;
    const v6 = await ask(() => resolver.resolve6(hostname));
    return v6.length > 0 ? v6 : (await lookup(hostname, { all: true })).map(({ address }) => address);
  };
}
