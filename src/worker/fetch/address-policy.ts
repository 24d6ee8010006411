/**
 * Which hosts and addresses may be connected to: a list of URLs must not become a way into the network that the worker
 * stands in. Pure: `guarded-connect.ts` asks it for every address before it is dialled and again once it is connected,
 * `http.ts` for every host, on every redirect. An address may be connected to where it is global unicast; of the others,
 * `allowPrivate` opens loopback, private, unique local and carrier-grade NAT addresses only, and no metadata service.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { plainHost } from "../../shared/http-uri.js";

export interface AddressPolicyOptions {
  /** `example.org`, `*.example.org` (not `example.org` itself), an address or a network; empty allows every host. */
  readonly allowHost: readonly string[];
  /** The same forms; stronger than `allowHost`. Addresses and networks are refused under any name. */
  readonly denyHost: readonly string[];
  /** Networks, as `10.0.0.0/8`, or `all`. */
  readonly allowPrivate: readonly string[];
}

/** Each answer is the reason for refusing, as a clause, or null. */
export interface AddressPolicy {
  /**
   * `hostname` as `URL` gives it. Knows the addresses of `localhost` and of literals without asking, so that these are refused
   * also where a proxy makes the connection.
   */
  refusalOfHost(hostname: string): string | null;
  /** `address` is the text of an IPv4 or IPv6 address. */
  refusalOfAddress(address: string): string | null;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

/** What `allowPrivate` can open; the names are those of ipaddr.js. */
const openable: ReadonlySet<string> = new Set(["loopback", "private", "uniqueLocal", "carrierGradeNat"]);

/**
 * Metadata services outside link-local ranges, which are never opened: of Alibaba Cloud, of Oracle Cloud, of Azure (on a
 * public address), and of AWS and Google over IPv6, as their documentation names them.
 */
const metadataServices = networksOf([
  ...["100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::/32", "fd20:ce::254"],
]);

/** All of IPv6 that is assigned to global unicast (IANA IPv6 address space); anything else embeds, or is, something else. */
const globalUnicast = networksOf(["2000::/3"]);

const rangeNames: Readonly<Record<string, string>> = {
  linkLocal: "a link-local address, where metadata services are",
  carrierGradeNat: "an address behind a carrier-grade NAT",
  private: "a private address",
  uniqueLocal: "a private (unique local) address",
  loopback: "a loopback address",
  unspecified: "an unspecified address",
  multicast: "a multicast address",
  broadcast: "the broadcast address",
  ipv4Mapped: "an IPv4 address mapped into IPv6",
  rfc6145: "an IPv4 address translated into IPv6",
  rfc6052: "an IPv4 address behind NAT64",
  "6to4": "an IPv4 address in 6to4",
  teredo: "an IPv4 address in Teredo",
};

/** The policy of `options`, whose forms the option table has checked. */
export function createAddressPolicy({ allowHost, denyHost, allowPrivate }: AddressPolicyOptions): AddressPolicy {
  const allows = hostMatcher(allowHost);
  const denies = hostMatcher(denyHost);
  const denied = networksOf(denyHost);
  const opened = networksOf(allowPrivate.flatMap((each) => (each === "all" ? ["0.0.0.0/0", "::/0"] : [each])));
  const refusalOfAddress = (text: string): string | null => {
    if (isIP(text) === 0 || text.includes("%")) return `${text} is no address`;
    const address = ipaddr.parse(text);
    if (isInside(address, denied)) return `--deny-host forbids ${text}`;
    const range = rangeOf(address);
    if (range === "unicast" || (openable.has(range) && isInside(address, opened))) return null;
    return `${text} is ${rangeNames[range] ?? range}`;
  };
  return {
    refusalOfHost(hostname) {
      const host = bareHost(hostname);
      if (denies(host)) return `--deny-host forbids ${host}`;
      if (allowHost.length > 0 && !allows(host)) return `--allow-host does not name ${host}`;
      const refusals = knownAddresses(host).map(refusalOfAddress);
      return refusals.includes(null) ? null : (refusals[0] ?? null);
    },
    refusalOfAddress,
  };
}

/** Of a name that needs no name server; none for any other. */
function knownAddresses(host: string): readonly string[] {
  if (isIP(host) !== 0) return [host];
  return /(^|\.)localhost$/.test(host) ? ["127.0.0.1", "::1"] : [];
}

/** `unicast` for what may be connected to, else the kind of address. */
function rangeOf(address: Address): string {
  if (isInside(address, metadataServices)) return "the address of a metadata service";
  const range = address.range();
  if (address.kind() === "ipv6" && range === "unicast" && !isInside(address, globalUnicast))
    return "outside the addresses of the public internet";
  return range === "unicast" || range in rangeNames || openable.has(range) ? range : "a reserved address";
}

/** As it is compared, and without the brackets of an IPv6 address. */
function bareHost(hostname: string): string {
  return plainHost(hostname).replace(/^\[(.*)\]$/, "$1");
}

function hostMatcher(patterns: readonly string[]): (host: string) => boolean {
  const names = new Set(patterns.map(bareHost));
  const suffixes = [...names].filter((name) => name.startsWith("*.")).map((name) => name.slice(1));
  const networks = networksOf(patterns);
  return (host) =>
    names.has(host) ||
    suffixes.some((suffix) => host.endsWith(suffix)) ||
    (isIP(host) !== 0 && isInside(ipaddr.parse(host), networks));
}

/** The entries that are addresses or networks. */
function networksOf(entries: readonly string[]): Network[] {
  return entries.flatMap((entry): Network[] => {
    if (ipaddr.isValidCIDR(entry)) return [ipaddr.parseCIDR(entry)];
    const address = bareHost(entry);
    if (isIP(address) === 0) return [];
    const parsed = ipaddr.parse(address);
    return [[parsed, parsed.kind() === "ipv4" ? 32 : 128]];
  });
}

function isInside(address: Address, networks: readonly Network[]): boolean {
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}
