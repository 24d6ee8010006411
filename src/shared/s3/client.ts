/**
 * Sends requests to an S3 store for the tool itself: whole answers, tried again where that may help. A source lists with it;
 * a dataset that lies in a store is read and written with it. Not for items: the worker's fetcher has its own transport, which
 * guards addresses and shares out a process's limits.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Dispatcher } from "undici";
import { messageOf, systemCode } from "../errors.js";
import { type ProxySettings, proxyAgentOptions } from "../proxy-settings.js";
import type { PreparedRequest, S3Access, S3AccessSettings, S3Request } from "./access.js";
import { errorCodeOf, ofCredentials, perhapsOfCredentials, regionOf } from "./answers.js";

/** The store refused, or could not be asked. The message is a clause that holds no secret. */
export class S3Failure extends Error {
  /** Of the last answer; null where there was none. */
  readonly status: number | null;
  /** The store's own, as `NoSuchKey`; null where it gave none. */
  readonly code: string | null;

  constructor(message: string, { status, code }: Pick<S3Failure, "status" | "code">, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** How a process reaches its object stores, as data, which a thread can be given as well. Holds credentials. */
export interface StoreSettings {
  readonly access: S3AccessSettings;
  readonly proxy: ProxySettings | null;
}

export interface S3ClientSettings {
  readonly access: S3Access;
  readonly proxy: ProxySettings | null;
  readonly signal: AbortSignal;
  /** Of one request. @default 8; 3 of a store that has never answered */
  readonly mostTries?: number;
  /** Of the body of one answer. @default 16 MiB */
  readonly mostBytes?: number;
}

/** An answer that says that it was done. */
export interface S3Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface S3Client {
  /**
   * What `parse` makes of a successful answer; where `parse` throws, the answer was damaged on the way, and is asked for again.
   * Throws S3Failure, what `S3Access.prepare` throws, and the signal's reason.
   */
  send<T>(request: S3Request, parse: (answer: S3Answer) => T): Promise<T>;
  close(): Promise<void>;
}

/** A listing of 100 M objects is 100,000 requests: with one in ten failing, one in 10^8 fails so often. */
const usualTries = 8;
/** Of a store that has never answered: it is likely that it is not there. */
const firstTries = 3;
const firstPauseMs = 250;
const longestPauseMs = 20_000;
const connectTimeoutMs = 10_000;
const headersTimeoutMs = 30_000;
const idleTimeoutMs = 15_000;
/** Bytes a millisecond that a body is sent with at the least. */
const slowestSending = 100;
/** Of a listing: a thousand keys of the longest kind, encoded, are 4 MB. */
const usualBytes = 16 * 2 ** 20;
const busyAt: ReadonlySet<number> = new Set([408, 425, 429]);
/** Refusals that the same request may not meet again: two writers at once, a body that was cut off or damaged on its way. */
const passingCodes: ReadonlySet<string> = new Set([
  ...["ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "XAmzContentSHA256Mismatch", "BadDigest"],
]);

/** Close it. */
export async function openS3Client(settings: S3ClientSettings): Promise<S3Client> {
  const { access, proxy, signal, mostTries = usualTries } = settings;
  const dispatcher = await openDispatcher(proxy);
  let hasAnswered = false;
  return {
    async send(request, parse) {
      let mayRenew = true;
      for (let tries = 1; ; tries += 1) {
        const answer = await ask(request, { ...settings, dispatcher, hasAnswered });
        hasAnswered ||= answer.error === null;
        const result = resultOf(answer, parse);
        if (result.kind === "done") return result.value;
        if (result.kind === "busy") {
          await pause(result.failure, tries, {
            access,
            signal,
            mostTries: hasAnswered ? mostTries : Math.min(firstTries, mostTries),
          });
          continue;
        }
        const learned = learnFrom(result, { bucket: request.bucket, region: answer.region, mayRenew }, access);
        if (learned === null || tries >= mostTries) throw described(result.failure, answer, access);
        if (learned === "credentials") mayRenew = false;
      }
    },
    close: () => dispatcher.destroy(),
  };
}

interface Patience extends Pick<S3ClientSettings, "access" | "signal"> {
  readonly mostTries: number;
}

/** Waits for the next try; throws what `failure` says where there is none. */
async function pause(failure: S3Failure, tries: number, { access, signal, mostTries: most }: Patience): Promise<void> {
  if (tries >= most) throw new S3Failure(`${failure.message} from ${access.endpoint}, ${tries} times`, failure);
  const pauseMs = firstPauseMs * 2 ** (tries - 1) * (1 + Math.random());
  await sleep(Math.min(longestPauseMs, pauseMs), undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** undici is loaded with the first bucket: it takes 0.3 s. */
async function openDispatcher(proxy: ProxySettings | null): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent } = await import("undici");
  const connect = { timeout: connectTimeoutMs };
  if (proxy === null) return new Agent({ connect });
  return new EnvHttpProxyAgent({ connect, ...proxyAgentOptions(proxy) });
}

/** An answer, or the error in its place. */
interface Answer extends S3Answer {
  readonly region: string;
  readonly isSigned: boolean;
  readonly error: unknown;
}

interface Asking extends S3ClientSettings {
  readonly dispatcher: Dispatcher;
  readonly hasAnswered: boolean;
}

async function ask(
  request: S3Request,
  { access, dispatcher, signal, mostBytes = usualBytes, hasAnswered }: Asking,
): Promise<Answer> {
  const nothing = { region: "", isSigned: false, status: 0, headers: {}, body: Buffer.alloc(0) };
  let prepared: PreparedRequest;
  try {
    prepared = await access.prepare(request);
  } catch (error) {
    // Once there were credentials: a file that is just being written holds none, or half of them.
    if (hasAnswered) return { ...nothing, error };
    throw error;
  }
  const { method, origin, path, headers, region, isSigned } = prepared;
  const { body = null } = request;
  const none = { ...nothing, region, isSigned };
  const sendingMs = (body?.length ?? 0) / slowestSending;
  const timeouts = { headersTimeout: headersTimeoutMs + sendingMs, bodyTimeout: idleTimeoutMs };
  try {
    const answer = await dispatcher.request({ origin, path, method, headers, body, signal, ...timeouts });
    const received = await bytesOf(answer.body, mostBytes);
    return { ...none, status: answer.statusCode, headers: answer.headers, body: received, error: null };
  } catch (error) {
    signal.throwIfAborted();
    return { ...none, error };
  }
}

async function bytesOf(body: AsyncIterable<Buffer>, mostBytes: number): Promise<Buffer> {
  const blocks: Buffer[] = [];
  let bytes = 0;
  for await (const block of body) {
    bytes += block.length;
    if (bytes > mostBytes) throw new Error(`its answer is longer than ${mostBytes} bytes`);
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

const noAnswer = { status: null, code: null };
/** Will never be otherwise. */
const notImplemented = 501;

type Result<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "busy"; readonly failure: S3Failure }
  | Refused;

interface Refused {
  readonly kind: "refused";
  readonly failure: S3Failure;
  /** In which the bucket is, where the store says so. */
  readonly region: string | null;
  readonly isOfCredentials: boolean;
}

function resultOf<T>(answer: Answer, parse: (answer: S3Answer) => T): Result<T> {
  const { status, headers, body, error } = answer;
  if (error !== null) {
    const [first] = error instanceof AggregateError ? error.errors : [];
    const reason = messageOf(first ?? error) || systemCode(error) || "no reason given";
    return { kind: "busy", failure: new S3Failure(reason, noAnswer, { cause: error }) };
  }
  if (status >= 200 && status < 300) return parsed(answer, parse);
  const code = errorCodeOf(body.toString("utf8"));
  const failure = new S3Failure(`status ${status}${code === null ? "" : ` ${code}`}`, { status, code });
  const isBusy = (status >= 500 && status !== notImplemented) || busyAt.has(status) || passingCodes.has(code ?? "");
  if (isBusy) return { kind: "busy", failure };
  const isOfCredentials = code !== null && (ofCredentials.has(code) || perhapsOfCredentials.has(code));
  return { kind: "refused", failure, region: regionOf(headers["x-amz-bucket-region"]), isOfCredentials };
}

/** What to ask with anew, where that may help; null where it may not. */
function learnFrom(
  { region, isOfCredentials }: Refused,
  asked: { readonly bucket: string; readonly region: string; readonly mayRenew: boolean },
  access: S3Access,
): "region" | "credentials" | null {
  if (region !== null && access.learnRegion(asked.bucket, region, asked.region)) return "region";
  if (!isOfCredentials || !asked.mayRenew) return null;
  // A listing of many hours outlasts the credentials that it began with.
  access.forgetCredentials();
  return "credentials";
}

function parsed<T>(answer: S3Answer, parse: (answer: S3Answer) => T): Result<T> {
  try {
    return { kind: "done", value: parse(answer) };
  } catch (error) {
    const seen = { status: answer.status, code: null };
    return { kind: "busy", failure: new S3Failure(messageOf(error), seen, { cause: error }) };
  }
}

/** A refusal, with what the user may not know: that nothing was signed. */
function described({ message, status, code }: S3Failure, { isSigned }: Answer, access: S3Access): S3Failure {
  const isDenied = status === 401 || status === 403;
  const unsigned = isDenied && !isSigned ? `; ${access.whyUnsigned}` : "";
  return new S3Failure(`${message} from ${access.endpoint}${unsigned}`, { status, code });
}
