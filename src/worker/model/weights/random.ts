/**
 * Seeded random numbers that are the same on every machine: integer arithmetic, and of floating point only what IEEE 754
 * fixes exactly. `Math.log` and the like may differ in the last bit from one version of the engine to the next.
 */
export interface Random {
  /** From 0 to below 1, in steps of 2^-53. */
  uniform(): number;
  /** Mean 0, variance 1. */
  normal(): number;
}

/** xoshiro128** (Blackman and Vigna 2018, https://prng.di.unimi.it/), its state filled from `seed` (32 bits) by splitmix32. */
export function createRandom(seed: number): Random {
  const next = createXoshiro(seed);
  const uniform = () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  let spare: number | null = null;
  return {
    uniform,
    /** Marsaglia's polar method (1964): two numbers from one point inside the unit circle. */
    normal() {
      if (spare !== null) {
        const value = spare;
        spare = null;
        return value;
      }
      while (true) {
        const [x, y] = [uniform() * 2 - 1, uniform() * 2 - 1];
        const square = x * x + y * y;
        if (square >= 1 || square === 0) continue;
        const factor = Math.sqrt((-2 * logarithm(square)) / square);
        spare = y * factor;
        return x * factor;
      }
    },
  };
}

function createXoshiro(seed: number): () => number {
  let mixed = seed >>> 0;
  const fill = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let value = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return (value ^ (value >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [fill(), fill(), fill(), fill()];
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** Natural logarithm of a number from 0 to 1: the power of two apart, then 2 artanh((m - 1) / (m + 1)) as a series. */
function logarithm(value: number): number {
  let [mantissa, exponent] = [value, 0];
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent -= 1;
  }
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let series = 0;
  // |ratio| is 0.172 at most, so the first term left out is below 1e-17.
  for (let power = 19; power >= 1; power -= 2) series = series * square + 1 / power;
  return 2 * ratio * series + exponent * Math.LN2;
}
