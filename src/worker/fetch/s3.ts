/**
 * Fetches objects of an S3 store: each is an HTTP request that is signed, and goes the way of every other. What differs: the
 * endpoint is the worker's own setting, so it may be a private address, and nothing leads away from it, as no redirect is
 * followed; and a store that cannot be reached, or does not know the worker's credentials, is trouble of the place and not of
 * the item. Called by `open-fetcher` alone.
 */
import { failure, isCode, LabelmillError, messageOf } from "../../shared/errors.js";
import { redactUri } from "../../shared/http-uri.js";
import type { ProxySettings } from "../../shared/proxy-settings.js";
import type { PreparedRequest, S3Access, S3Request } from "../../shared/s3/access.js";
import { errorCodeOf, ofCredentials, perhapsOfCredentials, regionOf } from "../../shared/s3/answers.js";
import { parseObjectUri, type S3Place } from "../../shared/s3-uri.js";
import { failedWith } from "../outcome.js";
import { admitAtOnce, type Fetcher, type KnownBytes } from "./fetcher.js";
import type { HttpPolicy } from "./http-client.js";
import { headerOf } from "./http-headers.js";
import { finalFailure, type Refusal } from "./http-request.js";
import {
  type Asking,
  type HttpTransport,
  mostLarge,
  openHttpTransport,
  outcomeOf,
  type Tried,
  tryAgain,
} from "./http-transport.js";

export interface S3FetcherOptions {
  readonly access: S3Access;
  readonly policy: S3Policy;
  readonly maxItemBytes: number;
  readonly proxy: ProxySettings | null;
}

/** See the table of options. */
export interface S3Policy extends HttpPolicy {
  readonly s3Concurrency: number;
}

/** A fetcher of s3: uris; close it. */
export function createS3Fetcher(options: S3FetcherOptions): Required<Fetcher> & { close(): Promise<void> } {
  const { access, maxItemBytes, proxy } = options;
  const policy = policyOf(options.policy);
  const transport = openHttpTransport({ policy, maxItemBytes, proxy, largePerHost: mostLarge });
  const store: Store = { access, transport, looks: 1, hasGiven: false };
  const get = async (uri: string, asking: Asking, unless?: KnownBytes) => {
    const place = parseObjectUri(uri);
    const { shown } = asking;
    if ("reason" in place) return failedWith(failure("FETCH_UNSUPPORTED", { uri: shown, reason: place.reason }));
    const tryOnce = () => ask({ place, ...(unless && { unless }) }, asking, store);
    const tried = await tryAgain(tryOnce, { ...asking, retries: policy.fetchRetries });
    if (tried.kind === "failed" && tried.isUnreachable) throw outage(access, tried.failure.message);
    return outcomeOf(tried);
  };
  return {
    async fetch(uri, signal, admit = admitAtOnce) {
      const asking = { signal, admit, shown: redactUri(uri) };
      const outcome = await get(uri, asking);
      // Nothing was known, so there is nothing that could be the same.
      if (outcome !== "unchanged") return outcome;
      return failedWith(failure("FETCH_STATUS", { uri: asking.shown, status: 304, after: "" }));
    },
    fetchUnless: (known, uri, signal, admit = admitAtOnce) => get(uri, { signal, admit, shown: redactUri(uri) }, known),
    close: () => transport.close(),
  };
}

/**
 * The user names the endpoint, so private addresses are open to it and `--allow-host`, which is for items' hosts, is not asked;
 * metadata services stay closed, and `--deny-host` holds.
 */
function policyOf(policy: S3Policy): HttpPolicy {
  const own = { allowHost: [], allowPrivate: ["all"], perHost: policy.s3Concurrency, rate: null };
  return { ...policy, ...own, respectRobotsTag: false };
}

interface Store {
  readonly access: S3Access;
  readonly transport: HttpTransport;
  /** How often credentials were looked for. */
  looks: number;
  /** An object was given since credentials were looked for: this worker is known, and may read something. */
  hasGiven: boolean;
}

/** One try, and another where the store names the bucket's region. Throws STORAGE_FAILED where not the item is refused. */
async function ask(
  { place, ...condition }: { readonly place: S3Place; readonly unless?: KnownBytes },
  asking: Asking,
  store: Store,
): Promise<Tried> {
  const { access, transport } = store;
  for (let isFirst = true; ; isFirst = false) {
    const { looks } = store;
    const prepared = await prepare({ method: "GET", ...place }, access);
    const refusal = transport.refusalOfHost(prepared.hostname);
    if (refusal !== null) throw outage(access, refusal);
    const reply = await transport.ask({ ...prepared, ...condition }, asking);
    const isGiven = reply.kind === "bytes" || reply.kind === "unchanged";
    // What was on its way with the credentials before says nothing of these.
    store.hasGiven ||= isGiven && looks === store.looks;
    if (reply.kind !== "refused") return reply;
    const region = regionOf(headerOf(reply.headers, "x-amz-bucket-region"));
    const isNews = region !== null && access.learnRegion(place.bucket, region, prepared.region);
    if (isNews && isFirst) continue;
    return refused(reply, prepared, asking.shown, store);
  }
}

/** Throws STORAGE_FAILED: a credentials file that is just being written holds none, or half of them. */
async function prepare(request: S3Request, access: S3Access): Promise<PreparedRequest> {
  try {
    return await access.prepare(request);
  } catch (error) {
    throw isCode(error, "OPTION_INVALID") ? outage(access, messageOf(error), error) : error;
  }
}

function refused({ status, body }: Refusal, { isSigned }: PreparedRequest, shown: string, store: Store): Tried {
  const { access } = store;
  const code = errorCodeOf(body) ?? "";
  const isDenied = status === 401 || status === 403;
  const isUnknown = !store.hasGiven && (perhapsOfCredentials.has(code) || (isDenied && !isSigned));
  const unsigned = isSigned ? "" : `; ${access.whyUnsigned}`;
  if (ofCredentials.has(code) || isUnknown) {
    access.forgetCredentials();
    store.looks += 1;
    store.hasGiven = false;
    throw outage(access, `it answers ${code || `with status ${status}`}${unsigned}`);
  }
  const uri = code === "" ? shown : `${shown} (${code}${isDenied ? unsigned : ""})`;
  if (status === 404) return finalFailure(failure("FETCH_NOT_FOUND", { uri }));
  return finalFailure(
    isDenied ? failure("FETCH_DENIED", { uri }) : failure("FETCH_STATUS", { uri, status, after: "" }),
  );
}

function outage({ endpoint }: S3Access, reason: string, cause?: unknown): LabelmillError {
  return new LabelmillError("STORAGE_FAILED", { path: endpoint, reason }, { cause });
}
