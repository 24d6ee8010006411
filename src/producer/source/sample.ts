/**
 * A sample of another source: `size` of its items, each as likely as any other, in the source's order. Drawing it takes one
 * pass over the whole source and the memory of the sample (algorithm R of Vitter, "Random sampling with a reservoir", 1985).
 * The seed decides it, so a resume draws the same one again, and says so where the source is no longer the same.
 */
import { createHash } from "node:crypto";
import { LabelmillError } from "../../shared/errors.js";
import { type Counts, sumCounts } from "../counts.js";
import type { Source, SourceItem } from "./source.js";

export interface SampleSize {
  readonly size: number;
  readonly seed: number;
}

/** The resume token is "items given, digest of the sample". Drawing ends with the signal's reason where that aborts. */
export function openSample(source: Source, sample: SampleSize, signal?: AbortSignal): Source {
  let drawing: Promise<Drawn> | null = null;
  let leftOut: Counts = {};
  return {
    ...source,
    async *items(after) {
      drawing ??= draw(source, sample, signal);
      const { items, digest, leftOut: left } = await drawing;
      // Drawing goes over all entries before the first item, so a pass that goes on has none of its own.
      if (after === null) leftOut = sumCounts([leftOut, left]);
      const [given = 0, expected = digest] = after === null ? [] : parseToken(after);
      if (expected !== digest) {
        throw new LabelmillError("RUN_SOURCE_CHANGED", { reason: "its sample is another one" });
      }
      for (let i = given; i < items.length; i += 1) {
        yield { ...(items[i] as SourceItem), token: `${i + 1},${digest}` };
      }
    },
    leftOut: () => leftOut,
  };
}

function parseToken(token: string): [number, string] {
  const [given = "", digest = ""] = token.split(",");
  return [Number(given), digest];
}

interface Drawn {
  readonly items: readonly SourceItem[];
  readonly digest: string;
  readonly leftOut: Counts;
}

async function draw(source: Source, { size, seed }: SampleSize, signal: AbortSignal | undefined): Promise<Drawn> {
  const random = createRandom(seed);
  const reservoir: { item: SourceItem; index: number }[] = [];
  let index = 0;
  for await (const item of source.items(null)) {
    signal?.throwIfAborted();
    const place = index < size ? index : Math.floor(random() * (index + 1));
    if (place < size) reservoir[place] = { item, index };
    index += 1;
  }
  const items = reservoir.sort((a, b) => a.index - b.index).map(({ item }) => item);
  const digest = createHash("sha256");
  for (const { uri } of items) digest.update(`${uri.length}:${uri}`);
  return { items, digest: digest.digest("hex").slice(0, 16), leftOut: { ...source.leftOut() } };
}

/** Numbers from 0 to below 1 with 53 random bits: sfc32 of PractRand (Doty-Humphrey), which has a period of 2^127 on average. */
function createRandom(seed: number): () => number {
  const state = new Uint32Array([0, 0, seed, 1]);
  const next = () => {
    const [a = 0, b = 0, c = 0, counter = 0] = state;
    const out = (a + b + counter) >>> 0;
    state[3] = counter + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + out;
    return out;
  };
  // The first outputs still show the seed.
  for (let i = 0; i < 15; i += 1) next();
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}
