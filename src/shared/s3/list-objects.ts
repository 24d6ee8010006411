import { parseListPage } from "./answers.js";
import type { S3Answer, S3Client } from "./client.js";

/** Of one listing. */
export interface ListRequest {
  readonly bucket: string;
  readonly prefix: string;
  /** Lists what comes after this key; null: all. */
  readonly after: string | null;
}

/**
 * The keys that begin with `prefix`, in the order of their bytes, a page in memory at a time; a key is enough to go on after
 * it. Throws an Error where the store lists in another order, as some kinds of buckets do: no place in such a listing can be
 * found again. Throws what `S3Client.send` throws.
 */
export async function* listObjects(client: S3Client, { bucket, prefix, after }: ListRequest): AsyncGenerator<string> {
  let last = after;
  let next: string | null = null;
  do {
    const from: Record<string, string> =
      next !== null ? { "continuation-token": next } : after !== null ? { "start-after": after } : {};
    const query = { "list-type": "2", "encoding-type": "url", ...(prefix && { prefix }), ...from };
    const page = await client.send({ method: "GET", bucket, key: "", query }, pageOf);
    for (const key of page.keys) {
      if (last !== null && Buffer.compare(Buffer.from(key), Buffer.from(last)) <= 0)
        throw new Error(
          "the store does not list keys in the order of their bytes, so that a listing cannot be resumed",
        );
      last = key;
      yield key;
    }
    if (next !== null && page.next === next) throw new Error("the store's listing goes in a circle");
    next = page.next;
  } while (next !== null);
}

/**
 * What lies directly below `prefix`, up to the next `/`: the keys, and the starts of the keys that go on behind a `/`, in no
 * order. Throws what `S3Client.send` throws.
 */
export async function listLevel(
  client: S3Client,
  { bucket, prefix }: Pick<ListRequest, "bucket" | "prefix">,
): Promise<{ readonly keys: string[]; readonly prefixes: string[] }> {
  const found = { keys: [] as string[], prefixes: [] as string[] };
  for (let next: string | null = ""; next !== null; ) {
    const from: Record<string, string> = next === "" ? {} : { "continuation-token": next };
    const query = { "list-type": "2", "encoding-type": "url", delimiter: "/", ...(prefix && { prefix }), ...from };
    const page = await client.send({ method: "GET", bucket, key: "", query }, pageOf);
    found.keys.push(...page.keys);
    found.prefixes.push(...page.prefixes);
    next = page.next;
  }
  return found;
}

const pageOf = ({ body }: S3Answer) => parseListPage(body.toString("utf8"));
