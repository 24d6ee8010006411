/**
 * Fetches from web servers, as a guest: so many requests a host, tries again only where that may help, waits as long as a
 * server asks. Every address is checked before it is connected to, on every redirect (`guarded-connect.ts`); nothing that a
 * server says of its bytes is believed but their length and encoding. Called by `open-fetcher` alone.
 *
 *     fetch: try ──bytes──> done          try: hop ──redirect, at most 5──> hop …
 *       └──may help──> pause ──> try           hop: host's gate, process's slot, one request
 */
import { failure } from "../../shared/errors.js";
import { parseHttpUrl, parseUrl, plainOrigin, redactUri } from "../../shared/http-uri.js";
import { failedWith, type Outcome } from "../outcome.js";
import { admitAtOnce, type FetchedBytes, type Fetcher, type KnownBytes } from "./fetcher.js";
import { type HostHeaders, mostRedirects } from "./http-client.js";
import { headerOf, isRedirect } from "./http-headers.js";
import { type ByteRange, finalFailure, type Refusal } from "./http-request.js";
import {
  type Asking,
  type HttpTransport,
  openHttpTransport,
  outcomeOf,
  type TransportOptions,
  type Tried,
  tryAgain,
} from "./http-transport.js";
import type { ReadPart } from "./read-part.js";

export interface HttpFetcherOptions extends TransportOptions {
  /** @default none */
  readonly hostHeaders?: HostHeaders;
}

const nothingAt: ReadonlySet<number> = new Set([404, 410]);

/** Gets whole files of http: and https: uris, and parts of them; close it. */
export interface HttpFetcher extends Required<Fetcher> {
  readonly readPart: ReadPart;
  close(): Promise<void>;
}

export function createHttpFetcher(options: HttpFetcherOptions): HttpFetcher {
  const { policy, hostHeaders = new Map() } = options;
  const transport = openHttpTransport(options);
  const ask = (wanted: Wanted, asking: Asking) => {
    const tryOnce = () => follow(wanted, asking, { transport, hostHeaders });
    return tryAgain(tryOnce, { ...asking, retries: policy.fetchRetries });
  };
  const get = async (wanted: Wanted, asking: Asking): Promise<Outcome<FetchedBytes>> => {
    const outcome = outcomeOf(await ask(wanted, asking));
    // Nothing was known, so there is nothing that could be the same.
    return outcome === "unchanged"
      ? failedWith(failure("FETCH_STATUS", { uri: asking.shown, status: 304, after: "" }))
      : outcome;
  };
  return {
    fetch: (uri, signal, admit = admitAtOnce) => get({ uri }, { signal, admit, shown: redactUri(uri) }),
    fetchUnless: async (unless, uri, signal, admit = admitAtOnce) =>
      outcomeOf(await ask({ uri, unless }, { signal, admit, shown: redactUri(uri) })),
    readPart: ({ archive, shown, offset, length }, signal, admit) =>
      get({ uri: archive, range: { offset, length } }, { signal, admit, shown }),
    close: transport.close,
  };
}

interface Wanted {
  readonly uri: string;
  readonly range?: ByteRange;
  readonly unless?: KnownBytes;
}

/** One try: the request, and those that redirects lead to. */
async function follow(
  { uri, ...part }: Wanted,
  asking: Asking,
  { transport, hostHeaders }: { readonly transport: HttpTransport; readonly hostHeaders: HostHeaders },
): Promise<Tried> {
  const fail = (code: "FETCH_BLOCKED" | "FETCH_REDIRECT", reason: string) =>
    finalFailure(failure(code, { uri: asking.shown, reason }));
  let url = parseHttpUrl(uri);
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    const to = hops === 0 ? "" : "it redirects to an address that is refused: ";
    if (!(url instanceof URL)) return fail("FETCH_BLOCKED", `${to}${url.reason}`);
    const refusal = transport.refusalOfHost(url.hostname);
    if (refusal !== null) return fail("FETCH_BLOCKED", `${to}${refusal}`);
    const { origin, hostname, pathname, search } = url;
    const headers = hostHeaders.get(plainOrigin(url)) ?? {};
    const reply = await transport.ask({ origin, hostname, path: `${pathname}${search}`, headers, ...part }, asking);
    if (reply.kind !== "refused") return reply;
    const location = isRedirect(reply.status) ? headerOf(reply.headers, "location") : undefined;
    if (location === undefined) return refused(reply, asking.shown);
    if (parseUrl(location, url.href) === null) return fail("FETCH_REDIRECT", "its Location is no address");
    url = parseHttpUrl(location, url);
  }
  return fail("FETCH_REDIRECT", `there are more than ${mostRedirects}`);
}

function refused({ status }: Refusal, uri: string): Tried {
  return finalFailure(failure(nothingAt.has(status) ? "FETCH_NOT_FOUND" : "FETCH_STATUS", { uri, status, after: "" }));
}
