/**
 * Fetches from web servers, as a guest: so many requests a host, tries again only where that may help, waits as long as a
 * server asks. Every address is checked before it is connected to, on every redirect (`guarded-connect.ts`); nothing that a
 * server says of its bytes is believed but their length and encoding. Called by `open-fetcher` alone.
 *
 *     fetch: try ──bytes──> done          try: hop ──redirect, at most 5──> hop …
 *       └──may help──> pause ──> try           hop: host's gate, process's slot, one request
 */
import { failure } from "../../shared/errors.js";
import { parseHttpUrl, plainOrigin, redactUri } from "../../shared/http-uri.js";
import { failedWith, succeeded } from "../outcome.js";
import { admitAtOnce, type Fetcher } from "./fetcher.js";
import { finalFailure, headerOf, type Refusal } from "./http-request.js";
import {
  type Asking,
  type HttpTransport,
  openHttpTransport,
  type TransportOptions,
  type Tried,
  tryAgain,
} from "./http-transport.js";

/** Scheme, host and port (`https://example.org`, as `plainOrigin` has it) -> what is sent there, and nowhere else. */
export type HostHeaders = ReadonlyMap<string, Readonly<Record<string, string>>>;

export interface HttpFetcherOptions extends TransportOptions {
  /** @default none */
  readonly hostHeaders?: HostHeaders;
}

const mostRedirects = 5;
const redirectAt: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const nothingAt: ReadonlySet<number> = new Set([404, 410]);

/** A fetcher of http: and https: uris; close it. */
export function createHttpFetcher(options: HttpFetcherOptions): Fetcher & { close(): Promise<void> } {
  const { policy, hostHeaders = new Map() } = options;
  const transport = openHttpTransport(options);
  return {
    async fetch(uri, signal, admit = admitAtOnce) {
      const asking = { signal, admit, shown: redactUri(uri) };
      const tryOnce = () => follow(uri, asking, { transport, hostHeaders });
      const tried = await tryAgain(tryOnce, { ...asking, retries: policy.fetchRetries });
      return tried.kind === "bytes" ? succeeded(tried.value) : failedWith(tried.failure);
    },
    close: () => transport.close(),
  };
}

/** One try: the request, and those that redirects lead to. */
async function follow(
  uri: string,
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
    const reply = await transport.ask({ origin, hostname, path: `${pathname}${search}`, headers }, asking);
    if (reply.kind !== "refused") return reply;
    const location = redirectAt.has(reply.status) ? headerOf(reply.headers, "location") : undefined;
    if (location === undefined) return refused(reply, asking.shown);
    if (!URL.canParse(location, url.href)) return fail("FETCH_REDIRECT", "its Location is no address");
    url = parseHttpUrl(location, url);
  }
  return fail("FETCH_REDIRECT", `there are more than ${mostRedirects}`);
}

function refused({ status }: Refusal, uri: string): Tried {
  return finalFailure(failure(nothingAt.has(status) ? "FETCH_NOT_FOUND" : "FETCH_STATUS", { uri, status, after: "" }));
}
