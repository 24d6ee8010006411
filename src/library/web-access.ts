/**
 * What this machine gives a worker to fetch with: proxies, the way to an object store, and the headers of `--header` for
 * single hosts, which are credentials as a rule. Their values come from the environment or from a file, since a command line
 * is seen by every user of the machine, and stay in the process: no message here shows one.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { LabelmillError, messageOf } from "../shared/errors.js";
import { parseHttpUrl, parseUrl, plainOrigin, redactUri } from "../shared/http-uri.js";
import type { ResolvedOptions } from "../shared/options.js";
import type { ProxySettings } from "../shared/proxy-settings.js";
import { createS3Access, type S3Access } from "../shared/s3/access.js";
import type { StoreSettings } from "../shared/s3/client.js";
import type { HostHeaders, WebAccess } from "../worker/fetch/open-fetcher.js";
import type { Places } from "./places.js";
import { readS3Settings } from "./s3-access.js";

const form = /^([^=\s]+)=(env|file):(.+)$/s;
const bareAddress = /^https?:\/\/[^\\/?#*]+\/?$/i;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e]*?)[ \t]*$/;
/** The request is ours (RFC 9110, section 7.6.1, and framing). */
const ownHeaders: ReadonlySet<string> = new Set([
  ...["host", "connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding", "content-length", "expect"],
  ...["accept-encoding", "range"],
]);

/** The options that say which store it is. */
export type S3Options = Parameters<typeof readS3Settings>[0];
/** The part of a machine's access that is of object stores. */
export type StoreAccess = Pick<WebAccess, "proxy"> & { readonly s3: S3Access };

/** Reads all of it; throws OPTION_INVALID. */
export async function readWebAccess(
  options: S3Options & Pick<ResolvedOptions, "header">,
  places: Pick<Places, "cwd" | "env" | "home">,
): Promise<WebAccess & StoreAccess> {
  return { hostHeaders: await readHostHeaders(options.header, places), ...readStoreAccess(options, places) };
}

/** What sources that are listed need of it. Throws OPTION_INVALID. */
export function readStoreAccess(options: S3Options, places: Pick<Places, "env" | "home">): StoreAccess {
  const { access, proxy } = readStoreSettings(options, places);
  return { proxy, s3: createS3Access(access) };
}

/** The same, as data: what datasets are opened with. Throws OPTION_INVALID. */
export function readStoreSettings(options: S3Options, places: Pick<Places, "env" | "home">): StoreSettings {
  return { access: readS3Settings(options, places), proxy: readProxy(places.env) };
}

/** As curl and others read it, `host:port` too; null where there is none. Throws OPTION_INVALID. */
function readProxy(env: Places["env"]): ProxySettings | null {
  const given = (name: string) => [name.toLowerCase(), name].find((each) => env[each]) ?? name;
  const read = (name: string) => proxyUrl(given(name), env[given(name)] ?? "");
  const proxies = { http: read("HTTP_PROXY"), https: read("HTTPS_PROXY"), direct: env[given("NO_PROXY")] ?? "" };
  return proxies.http === "" && proxies.https === "" ? null : proxies;
}

function proxyUrl(name: string, value: string): string {
  const text = value === "" || /^[^:/?#]+:\/\//.test(value) ? value : `http://${value}`;
  if (text === "" || (/^https?:/i.test(text) && parseUrl(text) !== null)) return text;
  const expected = "the address of an http: or https: proxy";
  throw new LabelmillError("OPTION_INVALID", { option: name, expected, value: redactUri(text), from: "environment" });
}

/** Reads each `HOST=env:NAME` or `HOST=file:PATH`; several of one host add up. Throws OPTION_INVALID. */
async function readHostHeaders(given: readonly string[], places: Pick<Places, "cwd" | "env">): Promise<HostHeaders> {
  const headers = new Map<string, Record<string, string>>();
  for (const each of given) {
    const [, host = "", kind, place = ""] = form.exec(each) ?? [];
    // Without its form it may be a credential that was put into the wrong place.
    if (kind === undefined) throw invalid("HOST=env:NAME or HOST=file:PATH", "***");
    const shown = `${redactUri(withScheme(host))}=${kind}:${place}`;
    const text = kind === "env" ? places.env[place] : await readHeaderFile(resolve(places.cwd, place), shown);
    if (text === undefined || text === "") throw invalid("the name of a variable that is set", shown);
    const key = keyOf(host, shown);
    headers.set(key, { ...headers.get(key), ...parseHeaders(text, shown) });
  }
  return headers;
}

/** A value of `--header` as a process in another directory is to be given it. */
export function fixHeaderFile(given: string, cwd: string): string {
  const [, host, kind, place = ""] = form.exec(given) ?? [];
  return kind === "file" ? `${host}=file:${resolve(cwd, place)}` : given;
}

/** The scheme is https unless it is named: nothing secret goes over the wire in clear by a redirect. */
function withScheme(host: string): string {
  return /^https?:\/\//i.test(host) ? host : `https://${host}`;
}

/** As items' addresses are written once they are pinned, so that what is accepted here is also sent. */
function keyOf(host: string, shown: string): string {
  const url = parseHttpUrl(withScheme(host));
  if (url instanceof URL && bareAddress.test(withScheme(host))) return plainOrigin(url);
  throw invalid("for HOST, HOST:PORT or http://HOST of one server, an IPv6 address in brackets", shown);
}

async function readHeaderFile(path: string, shown: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw invalid(`a file that can be read (${messageOf(error)})`, shown, error);
  });
}

function parseHeaders(text: string, shown: string): Record<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  return Object.fromEntries(
    lines.map((line, i) => {
      const [, name, value = ""] = headerLine.exec(line) ?? [];
      if (name === undefined)
        throw invalid(`lines of the form \`Name: value\` in printable ASCII (line ${i + 1} is not)`, shown);
      if (ownHeaders.has(name.toLowerCase())) throw invalid(`headers other than ${name}`, shown);
      return [name.toLowerCase(), value];
    }),
  );
}

const invalid = (expected: string, value: string, cause?: unknown) =>
  new LabelmillError("OPTION_INVALID", { option: "header", expected, value, from: "--header" }, { cause });
