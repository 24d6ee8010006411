/**
 * The proof of a quantised model at load: pictures that every machine draws alike, and what the float32 model made of
 * them when the ranges were measured. A graph whose embeddings of them differ is not run. It guards against CPUs whose
 * 8-bit kernels saturate (u8 by s8 without VNNI), against ranges that do not fit, and against a runtime that errs.
 */
import { cosine } from "../cosine.js";

/** Smallest cosine of an embedding to the float32 model's that is accepted. */
export const leastGoldenCosine = 0.99;

const seeds = [11, 23, 47];
/** Cells a side, coarse to fine; each octave has half the weight of the one before. */
const octaves = [3, 7, 14, 28, 56];

/** How many golden images there are. */
export const goldenCount = seeds.length;

/**
 * `[goldenCount, size, size, 3]` uint8 RGB: clouds of colour with structure at every scale, as photos have. Made with
 * operations that IEEE 754 fixes, so they are the same everywhere.
 */
export function drawGoldenImages(size: number): Uint8Array {
  const bytes = size * size * 3;
  const pixels = new Uint8Array(seeds.length * bytes);
  for (const [image, seed] of seeds.entries()) {
    const random = parkMiller(seed);
    const sums = new Float64Array(bytes);
    for (const [octave, cells] of octaves.entries()) addOctave(sums, { size, cells, weight: 0.5 ** octave, random });
    for (let i = 0; i < bytes; i += 1) {
      pixels[image * bytes + i] = Math.max(0, Math.min(255, 128 + (sums[i] as number) * 110));
    }
  }
  return pixels;
}

/** The smallest cosine of `embeddings` to `golden`, image by image; NaN if a number is not finite. */
export function leastCosine(embeddings: Float32Array, golden: readonly Float32Array[]): number {
  return golden.reduce((least, expected, image) => {
    const { length } = expected;
    return Math.min(least, cosine(embeddings.subarray(image * length, (image + 1) * length), expected));
  }, 1);
}

interface Octave {
  readonly size: number;
  readonly cells: number;
  readonly weight: number;
  readonly random: () => number;
}

/** Adds random values of a coarse grid, interpolated between its points. */
function addOctave(sums: Float64Array, { size, cells, weight, random }: Octave): void {
  const points = cells + 1;
  const grid = Float64Array.from({ length: points * points * 3 }, () => random() * weight);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const [top, left] = [(y * cells) / size, (x * cells) / size].map(Math.floor) as [number, number];
      const [down, right] = [(y * cells) / size - top, (x * cells) / size - left];
      for (let channel = 0; channel < 3; channel += 1) {
        const at = (dy: number, dx: number) => grid[((top + dy) * points + left + dx) * 3 + channel] as number;
        const upper = at(0, 0) * (1 - right) + at(0, 1) * right;
        const lower = at(1, 0) * (1 - right) + at(1, 1) * right;
        const place = (y * size + x) * 3 + channel;
        sums[place] = (sums[place] as number) + upper * (1 - down) + lower * down;
      }
    }
  }
}

/** Numbers from -1 to 1 (Park and Miller 1988, "Random number generators: good ones are hard to find"). */
function parkMiller(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  };
}
