/**
 * IEEE 754 binary16, which JavaScript on Node 20 has no array of. Numbers go both ways as the 16 bits of a half.
 */

/** 2^(e - 15), by the exponent bits e. */
const powers = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 15));
const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);
const largestHalf = 0x7bff;
/** Of all halves, once they are needed. */
let values: Float32Array | null = null;

/**
 * The half nearest to `value`, ties to even. Finite values beyond 65,504 become 65,504, the largest, since one infinity would
 * spoil every cosine of its embedding.
 */
export function toHalf(value: number): number {
  float[0] = value;
  const bits = floatBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude === 0x7f800000 ? 0x7c00 : 0x7e00);
  // Below 2^-14 halves are multiples of 2^-24.
  if (magnitude < 0x38800000) return sign | roundEven(Math.abs(float[0] ?? 0) * 2 ** 24);
  // The exponent's bias goes from 127 to 15, then 13 bits of the fraction are rounded off; a carry raises the exponent.
  const rounded = roundEven((magnitude - 0x38000000) / 2 ** 13);
  return sign | Math.min(rounded, largestHalf);
}

/** The value of a half; exact. */
export function fromHalf(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * (powers[exponent] ?? 0);
}

/** `toHalf` of each; a loop, since `Uint16Array.from` takes many times as long. */
export function toHalves(floats: Float32Array): Uint16Array {
  const halves = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i += 1) halves[i] = toHalf(floats[i] as number);
  return halves;
}

/** `fromHalf` of each, looked up: an embedding a few microseconds. */
export function fromHalves(halves: Uint16Array): Float32Array {
  values ??= Float32Array.from({ length: 0x10000 }, (_, half) => fromHalf(half));
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i += 1) floats[i] = values[halves[i] as number] as number;
  return floats;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
