/**
 * What the url of a sink means. A `SinkTarget` carries the password that its url may hold; its `name` does not, and is all
 * that logs, errors and the run's record ever see. Parameters are an allow-list, so that no secret can hide in one.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LabelmillError } from "../shared/errors.js";

export type SinkKind = "postgres" | "redis" | "lancedb";

export interface SinkTarget {
  readonly kind: SinkKind;
  /** The url without its password; the same place has the same name. */
  readonly name: string;
  /** Percent-decoded; null where the url has none. */
  readonly user: string | null;
  readonly password: string | null;
  /** Empty for LanceDB, and where the url leaves it to the environment. */
  readonly host: string;
  readonly port: number | null;
  /** The database of Postgres, the number of the database of Redis, the absolute directory of LanceDB. */
  readonly database: string;
  readonly isTls: boolean;
  readonly parameters: Readonly<Record<string, string>>;
}

const kinds: Readonly<Record<string, SinkKind>> = {
  "postgres:": "postgres",
  "postgresql:": "postgres",
  "redis:": "redis",
  "rediss:": "redis",
  "lancedb:": "lancedb",
};

const known: Readonly<Record<SinkKind, Readonly<Record<string, RegExp>>>> = {
  postgres: {
    schema: /^[a-z_][a-z0-9_]{0,62}$/,
    sslmode: /^(disable|require|verify-full)$/,
    sslrootcert: /./,
    host: /^\//,
  },
  redis: { socket: /^\//, prefix: /^[^{}\s]{1,200}$/, ttl: /^[1-9]\d{0,8}[smhd]$/ },
  lancedb: { table: /^[A-Za-z0-9_-]{1,100}$/ },
};

/** Reads the url of a sink; `cwd` is where relative directories are. Throws SINK_INVALID, which shows no password. */
export function parseSinkTarget(text: string, cwd: string): SinkTarget {
  const url = URL.canParse(text) ? new URL(text) : null;
  const kind = url === null ? undefined : kinds[url.protocol];
  if (url === null || kind === undefined) {
    const shown = hideSecrets(text);
    throw invalid(shown, "it is no url that begins with postgres://, redis://, rediss:// or lancedb://");
  }
  if (kind !== "lancedb" && !/^[a-z]+:\/\//i.test(text.trim()))
    throw invalid(url.protocol, "it has no // after its scheme");
  // The end of a password that was not encoded: what comes before it was read as something else.
  if (kind !== "lancedb" && `${url.pathname}${url.search}${url.hash}`.includes("@"))
    throw invalid(hideSecrets(text), "a /, ?, # or @ in its user or password must be percent-encoded");
  const parameters = readParameters(url, kind);
  const isTls = url.protocol === "rediss:";
  if (kind === "lancedb") return { ...lancedbPlace(url, text, cwd), parameters, isTls };
  const user = decode(url, url.username);
  const place = { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? null : Number(url.port) };
  const database = decode(url, url.pathname.slice(1));
  requireDatabase(url, kind, database);
  const name = nameOf(url);
  return {
    kind,
    name,
    user: user || null,
    password: decode(url, url.password) || null,
    ...place,
    database,
    isTls,
    parameters,
  };
}

/**
 * For a text that is not read as a url: whatever stands before its last @, and its parameters, may be secret; without an @
 * so may be what looks like no port after a colon, as a list of urls was split at a comma of a password.
 */
function hideSecrets(text: string): string {
  const at = text.lastIndexOf("@");
  const [place = ""] = text.slice(Math.max(0, at)).split("?");
  if (at >= 0) return `***${place}`;
  const [scheme = ""] = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text) ?? [];
  return /^[^:]*(:\d+)?(\/[^:]*)?$/.test(place.slice(scheme.length)) ? place : `${scheme}***`;
}

function nameOf(url: URL): string {
  const bare = new URL(url);
  bare.password = "";
  bare.hash = "";
  bare.searchParams.sort();
  return bare.href;
}

function readParameters(url: URL, kind: SinkKind): Record<string, string> {
  const [bare = ""] = nameOf(url).split("?");
  for (const [key, value] of url.searchParams) {
    const pattern = known[kind][key];
    const names = Object.keys(known[kind]).join(", ");
    if (pattern === undefined) throw invalid(bare, `it has the parameter ${key}, and ${kind} takes ${names}`);
    if (!pattern.test(value)) throw invalid(bare, `its parameter ${key} is not of the form that is expected`);
  }
  return Object.fromEntries(url.searchParams);
}

function requireDatabase(url: URL, kind: SinkKind, database: string): void {
  if (kind === "redis" && !/^\d{0,4}$/.test(database)) throw invalid(nameOf(url), "a database of Redis is a number");
  const isOther = database.replace(/^0$/, "") !== "" || url.username !== "" || url.password !== "";
  if (url.searchParams.has("socket") && isOther)
    throw invalid(nameOf(url), "of a Redis behind a socket it takes database 0, without a password");
  if (kind === "postgres" && (database === "" || database.includes("/")))
    throw invalid(nameOf(url), "it names no database");
}

/** `lancedb:///absolute/directory`, or `lancedb:relative`. */
function lancedbPlace(url: URL, text: string, cwd: string) {
  const path = text.slice("lancedb:".length).split(/[?#]/)[0] ?? "";
  if (path.startsWith("//") && !path.startsWith("///"))
    throw invalid(nameOf(url), "its directory must begin with a third /");
  const directory = path.startsWith("///") ? fileURLToPath(`file://${path.slice(2)}`) : resolve(cwd, decode(url, path));
  if (path === "") throw invalid("lancedb:", "it names no directory");
  const name = `lancedb://${encodeURI(directory)}${url.search}`;
  return { kind: "lancedb", name, user: null, password: null, host: "", port: null, database: directory } as const;
}

function decode(url: URL, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new LabelmillError("SINK_INVALID", { sink: url.protocol, reason: "a % in it begins no escape" }, { cause });
  }
}

function invalid(sink: string, reason: string): LabelmillError {
  return new LabelmillError("SINK_INVALID", { sink, reason });
}
