/**
 * Which uris have been, exactly and in known memory: `--dedupe uri` keeps of each uri the first item. A uri is known by 128
 * bits of its sha256, as its item's default id is, in an open table of 16 bytes a place: 21 to 43 bytes a uri, and half as
 * much again while it grows. Called by `enqueue` only.
 */
import { createHash } from "node:crypto";
import { LabelmillError } from "../shared/errors.js";

/** 2 GiB of table; three quarters of its places are used at most. */
const mostPlaces = 2 ** 27;
const firstPlaces = 2 ** 12;
const wordsEach = 4;

export interface SeenUris {
  /** Whether `uri` is new. Throws RUN_DEDUPE_FULL. */
  add(uri: string): boolean;
}

export function createSeenUris(most = mostPlaces): SeenUris {
  let table = new Uint32Array(firstPlaces * wordsEach);
  let count = 0;
  return {
    add(uri) {
      if (!insert(table, digestOf(uri))) return false;
      count += 1;
      const places = table.length / wordsEach;
      if (count * 4 < places * 3) return true;
      if (places * 2 > most) throw new LabelmillError("RUN_DEDUPE_FULL", { count });
      table = grown(table);
      return true;
    },
  };
}

/** Never all zeros, since that is an empty place. */
function digestOf(uri: string): Uint32Array {
  const digest = createHash("sha256").update(uri, "utf8").digest();
  const words = new Uint32Array(wordsEach);
  for (let i = 0; i < wordsEach; i += 1) words[i] = digest.readUInt32LE(i * 4);
  if (words.every((word) => word === 0)) words[0] = 1;
  return words;
}

/** Puts `words` at the first free place from where they belong. False where they are there. */
function insert(table: Uint32Array, words: Uint32Array): boolean {
  const places = table.length / wordsEach;
  for (let place = (words[0] ?? 0) % places; ; place = (place + 1) % places) {
    const at = place * wordsEach;
    let isFree = true;
    let isSame = true;
    for (let i = 0; i < wordsEach; i += 1) {
      if (table[at + i] !== 0) isFree = false;
      if (table[at + i] !== words[i]) isSame = false;
    }
    if (isSame) return false;
    if (!isFree) continue;
    table.set(words, at);
    return true;
  }
}

function grown(table: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(table.length * 2);
  for (let at = 0; at < table.length; at += wordsEach) {
    const words = table.subarray(at, at + wordsEach);
    if (words.some((word) => word !== 0)) insert(larger, words);
  }
  return larger;
}
