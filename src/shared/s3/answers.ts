/**
 * What an S3 store says in its answers: the code of an error, the region of a bucket, a page of a listing. Forms are those of
 * the S3 API reference ("Error responses", "ListObjectsV2"), read with tolerance for what other stores leave out. Of an
 * error only its code is ever shown: its text may hold the access key and the string that was signed.
 */

/** The store says that this process may not ask, whatever it asks for (S3 API reference, "Error responses"). */
export const ofCredentials: ReadonlySet<string> = new Set([
  ...["ExpiredToken", "TokenRefreshRequired", "InvalidAccessKeyId", "RequestTimeTooSkewed", "RequestExpired"],
]);
/** The same, as long as nothing else has succeeded: a key that a proxy rewrites on its way gives these too. */
export const perhapsOfCredentials: ReadonlySet<string> = new Set([
  ...["SignatureDoesNotMatch", "InvalidToken", "AuthorizationHeaderMalformed"],
]);

/** One page of a listing, in the store's order. */
export interface ListPage {
  readonly keys: readonly string[];
  /** What stands for all keys that go on behind it, where the listing was asked for with a delimiter. */
  readonly prefixes: readonly string[];
  /** Token of the next page; null on the last. */
  readonly next: string | null;
}

/** The code in the body of an error, as `NoSuchKey`; null where it holds none. */
export function errorCodeOf(body: string): string | null {
  return /<Code>([A-Za-z0-9._-]{1,64})<\/Code>/.exec(body)?.[1] ?? null;
}

/** The region in which a bucket is, where the store says so; nothing but what regions are made of is believed. */
export function regionOf(value: string | string[] | undefined): string | null {
  const [first = ""] = [value ?? []].flat();
  return /^[a-z0-9-]{1,32}$/.test(first) ? first : null;
}

/** Throws an Error where `body` is no page, or not a whole one. */
export function parseListPage(body: string): ListPage {
  if (!/<ListBucketResult[\s>]/.test(body)) throw new Error("its listing is not one of S3");
  if (!body.trimEnd().endsWith("</ListBucketResult>")) throw new Error("its listing is cut off");
  const isEncoded = textOf(body, "EncodingType") === "url";
  const namesIn = (entries: RegExp, element: string) =>
    [...body.matchAll(entries)].map(([, entry = ""]) => {
      const name = textOf(entry, element);
      if (name === null) throw new Error("an entry of its listing has no key");
      return isEncoded ? decodeURIComponent(name.replaceAll("+", " ")) : name;
    });
  const keys = namesIn(/<Contents>(.*?)<\/Contents>/gs, "Key");
  const prefixes = namesIn(/<CommonPrefixes>(.*?)<\/CommonPrefixes>/gs, "Prefix");
  // What has too many has lost none on its way.
  const counted = Number(textOf(body, "KeyCount") ?? 0);
  const found = keys.length + prefixes.length;
  if (counted > found) throw new Error(`its listing says that it has ${counted} keys, and has ${found}`);
  const isTruncated = textOf(body, "IsTruncated") === "true";
  const next = textOf(body, "NextContinuationToken");
  if (isTruncated && next === null) throw new Error("its listing goes on, and it does not say where");
  return { keys, prefixes, next: isTruncated ? next : null };
}

function textOf(xml: string, element: string): string | null {
  const text = new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
  return text === undefined ? null : unescapeXml(text);
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{2,4}));/gi, (all, decimal, hex, name: string) => {
    if (decimal === undefined && hex === undefined) return entities[name] ?? all;
    const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : all;
  });
}
