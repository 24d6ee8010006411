/**
 * Numbers the different keys that it meets, exactly and in memory that is known beforehand: a key is known by 128 bits of its
 * sha256, in an open table of 20 bytes a place of which a quarter stays free, so 27 bytes a key. What
 * belongs to a key stands in the caller's own arrays, by its number. Used where two lists of millions of items are compared.
 */
import { createHash } from "node:crypto";

/** A key is some texts, in their order. */
export interface DigestTable {
  /** The number of the key, from 0 in the order in which keys came; -1 where it never came. */
  find(...texts: readonly string[]): number;
  /** The same, and it has come now. Throws RangeError where there are more keys than it was made for. */
  put(...texts: readonly string[]): number;
  count(): number;
}

const wordsEach = 5;
/** A number stands in 32 bits, and 0 is a free place. */
const mostKeys = 2 ** 32 - 2;

/** For `most` keys. Throws RangeError beyond `mostKeys`. */
export function createDigestTable(most: number): DigestTable {
  if (most > mostKeys) throw new RangeError(`Expected \`most\` to be at most ${mostKeys}, got \`${most}\``);
  const places = Math.max(4, Math.ceil(most * (4 / 3)));
  const words = new Uint32Array(places * wordsEach);
  let keys = 0;
  /** Where the key is, or the free place where it belongs. */
  const placeOf = (key: Uint32Array): number => {
    for (let place = (key[0] ?? 0) % places; ; place = (place + 1) % places) {
      const at = place * wordsEach;
      if (words[at + 4] === 0 || key.every((word, i) => words[at + i] === word)) return at;
    }
  };
  return {
    find: (...texts) => (words[placeOf(digestOf(texts)) + 4] ?? 0) - 1,
    put(...texts) {
      const key = digestOf(texts);
      const at = placeOf(key);
      const number = (words[at + 4] ?? 0) - 1;
      if (number >= 0) return number;
      if (keys === most) throw new RangeError(`Expected at most ${most} keys`);
      words.set(key, at);
      keys += 1;
      words[at + 4] = keys;
      return keys - 1;
    },
    count: () => keys,
  };
}

/** Each text with its length before it, so that `ab`, `c` is not `a`, `bc`. */
function digestOf(texts: readonly string[]): Uint32Array {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}\0`, "utf8").update(text, "utf8");
  const digest = hash.digest();
  return Uint32Array.from({ length: 4 }, (_, i) => digest.readUInt32LE(i * 4));
}
