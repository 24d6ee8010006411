/** What servers say before a body: what their statuses mean for the next step, times (RFC 9110), and wishes. */
import type { Dispatcher } from "undici";
import type { KnownBytes } from "./fetcher.js";

export type Headers = Dispatcher.ResponseData["headers"];

const redirectAt: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const busyAt: ReadonlySet<number> = new Set([408, 425, 429]);

/** Whether the status sends elsewhere, where there is a `Location`. */
export const isRedirect = (status: number): boolean => redirectAt.has(status);
/** Whether another try may be answered otherwise. */
export const isBusy = (status: number): boolean => busyAt.has(status) || status >= 500;

/** The first where there are several. */
export function headerOf(headers: Headers, name: string): string | undefined {
  return [headers[name]].flat()[0];
}

/** An entity tag (RFC 9110, section 8.8.3): nothing else may stand in a request. */
const entityTag = /^(W\/)?"[\x21\x23-\x7e]*"$/;

/** Asks for the bytes only where they are not the `known` ones (RFC 9110, section 13.1); none where nothing tells them. */
export function conditionOf({ etag, modifiedAt }: KnownBytes): Readonly<Record<string, string>> {
  if (etag !== null && entityTag.test(etag)) return { "if-none-match": etag };
  return modifiedAt === null ? {} : { "if-modified-since": modifiedAt.toUTCString() };
}

/** How long `Retry-After` asks to wait, in milliseconds: seconds, or a date; null where it is absent or neither. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = httpDate(value);
  return date === null ? null : Math.max(0, date.getTime() - nowMs);
}

const endOfYears = Date.UTC(10_000, 0);

/** An HTTP date in any of its three forms; null where it is none, as servers write anything. */
export function httpDate(value: string | undefined): Date | null {
  if (value === undefined || !/^\s*[A-Za-z]{3,9},? .*\d\d:\d\d:\d\d/.test(value)) return null;
  // The asctime form names no zone, which is UTC there and would be local time to Date.
  const date = new Date(/GMT|UTC|[+-]\d{4}\s*$/.test(value) ? value : `${value} GMT`);
  // Years have four digits there; many readers of results know no later ones.
  return date.getTime() < endOfYears ? date : null;
}

const refusals: ReadonlySet<string> = new Set(["noai", "noimageai", "noindex", "none"]);
/** Directives that have a value of their own behind a colon; any other name there is a crawler's. */
const valued: ReadonlySet<string> = new Set([
  ...["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"],
]);

/**
 * The first directive of `X-Robots-Tag` that asks everybody, or labelmill, not to use the answer; null where none does. The
 * header's form is that of the search engines' documentation: `noindex, noai`, or `crawler: noindex`; it may come many times.
 */
export function robotsRefusal(values: readonly string[]): string | null {
  for (const value of values) {
    const [, agent = "", rest = value] = /^\s*([^\s:,]+)\s*:(.*)$/s.exec(value) ?? [];
    const isForUs = agent === "" || /^(\*|labelmill)$/i.test(agent);
    if (!isForUs && !valued.has(agent.toLowerCase())) continue;
    const found = rest.split(",").find((directive) => refusals.has(directive.trim().toLowerCase()));
    if (found !== undefined) return found.trim().toLowerCase();
  }
  return null;
}
