/** What an error of undici, Node's network or zlib means for the item. */
import { isIPv4 } from "node:net";
import { errors } from "undici";
import { type Failure, failure, LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { Blocked, Unresolved } from "./guarded-connect.js";
import { TooLarge } from "./http-body.js";

/** A request's failure, and whether another try may end better. */
export interface RequestFailure {
  readonly kind: "failed";
  readonly failure: Failure;
  readonly isRetryable: boolean;
  /** No connection was made, so that it says nothing of what was asked for. */
  readonly isUnreachable: boolean;
  /** Nothing came from the host, or it has no address: it may be dead. */
  readonly isUnanswered: boolean;
}

/** How far a request got. */
export interface RequestState {
  /** As it may be shown. */
  readonly uri: string;
  readonly limit: number;
  /** Of the body, as they came; null before the headers. */
  readonly bytes: number | null;
}

const timeouts: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: "no connection within --connect-timeout-ms",
  ETIMEDOUT: "no connection",
  UND_ERR_HEADERS_TIMEOUT: "no answer within --headers-timeout-ms",
  UND_ERR_BODY_TIMEOUT: "nothing came for --idle-timeout-ms",
};

/** OpenSSL's reasons for refusing a certificate (verify(1)), and Node's and OpenSSL's for a failed handshake. */
const tlsCode =
  /^(CERT_|CRL_|ERR_TLS|ERR_SSL|EPROTO|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;

/** Errors of connecting (connect(2)), beside those of names and of TLS. */
const unconnected: ReadonlySet<string> = new Set([
  ...["UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT", "ECONNREFUSED"],
  ...["EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH"],
]);

/** Errors of connecting that say nothing of the server: this process or machine has run out of something, or has no network. */
const ofThisMachine: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ENETDOWN"]);

/** Throws STORAGE_FAILED where this machine fails. */
export function failureOf(thrown: unknown, state: RequestState): RequestFailure {
  const code = systemCode(thrown) ?? "";
  if (ofThisMachine.has(code) || hasNoPortLeft(thrown))
    throw new LabelmillError("STORAGE_FAILED", { path: state.uri, reason: reasonOf(thrown) }, { cause: thrown });
  const isUnreachable =
    thrown instanceof Blocked || thrown instanceof Unresolved || unconnected.has(code) || tlsCode.test(code);
  const meaning = meaningOf(thrown, state);
  const isUnanswered = state.bytes === null && (meaning.isRetryable || meaning.failure.code === "FETCH_DNS");
  return { kind: "failed", ...meaning, isUnreachable, isUnanswered };
}

/**
 * Without IPv6 the same code means that an IPv6 address is of no use here. ENETUNREACH is left to the item in either case: routers
 * say so of single networks too, and one address of a list must not stop a run.
 */
function hasNoPortLeft(thrown: unknown): boolean {
  const { address } = thrown as { readonly address?: unknown };
  return systemCode(thrown) === "EADDRNOTAVAIL" && typeof address === "string" && isIPv4(address);
}

type Meaning = Pick<RequestFailure, "failure" | "isRetryable">;

function meaningOf(thrown: unknown, { uri, limit, bytes }: RequestState): Meaning {
  const reason = reasonOf(thrown);
  const code = systemCode(thrown) ?? "";
  if (thrown instanceof TooLarge) return final(failure("FETCH_TOO_LARGE", { uri, bytes: thrown.bytes, limit }));
  if (thrown instanceof Blocked) return final(failure("FETCH_BLOCKED", { uri, reason }));
  if (thrown instanceof Unresolved)
    return { failure: failure("FETCH_DNS", { uri, reason }), isRetryable: !thrown.isFinal };
  const timeout = timeouts[code];
  if (timeout !== undefined) return again(failure("FETCH_TIMEOUT", { uri, reason: timeout }));
  if (tlsCode.test(code)) return final(failure("FETCH_TLS", { uri, reason }));
  // What answers there does not speak HTTP, and will not the next time.
  if (thrown instanceof errors.HTTPParserError || code === "UND_ERR_HEADERS_OVERFLOW")
    return final(failure("FETCH_FAILED", { uri, reason: `its answer is not HTTP (${reason})` }));
  if (code === "Z_DATA_ERROR" || code.startsWith("ERR__ERROR_FORMAT") || code.startsWith("ERR_PADDING"))
    return again(failure("FETCH_FAILED", { uri, reason: "its content encoding is damaged" }));
  if (bytes !== null) return again(failure("FETCH_TRUNCATED", { uri, bytes, reason }));
  return again(failure("FETCH_FAILED", { uri, reason }));
}

const final = (value: Failure): Meaning => ({ failure: value, isRetryable: false });
const again = (value: Failure): Meaning => ({ failure: value, isRetryable: true });

/** An AggregateError of connects has no message of its own. */
function reasonOf(thrown: unknown): string {
  const [first] = thrown instanceof AggregateError ? thrown.errors : [];
  return messageOf(first ?? thrown) || systemCode(thrown) || "no reason given";
}
