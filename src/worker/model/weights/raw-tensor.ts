import { elementCount, type TensorShape } from "../spec.js";
import type { Tensor } from "./tensor.js";

/** A tensor as a weight file holds it: its bytes are not read as numbers yet. */
export interface RawTensor extends TensorShape {
  /** By the names of safetensors: `F32`, `BF16`, `I64`, … */
  readonly dtype: string;
  /** Little-endian, row-major; as many as shape and dtype say. */
  readonly bytes: Uint8Array;
}

const sizes: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["I32", 4],
  ["F32", 4],
  ["I64", 8],
  ["F64", 8],
]);

/** Bytes of one element. Throws an Error that names the tensor where the type is not one that weight files have. */
export function elementBytes(dtype: string, name: string): number {
  const size = sizes.get(dtype);
  if (size === undefined) throw new Error(`tensor ${name} is of the unknown type ${dtype}`);
  return size;
}

/**
 * The numbers of an F32 (a view where the bytes are aligned), F64 (rounded), F16 or BF16 tensor. Throws an Error for other
 * types.
 */
export function toFloat32({ name, shape, dtype, bytes }: RawTensor): Tensor {
  const count = elementCount(shape);
  if (dtype === "F32") return { name, shape, data: new Float32Array(...aligned(bytes, 4), count) };
  if (dtype === "F64") return { name, shape, data: Float32Array.from(new Float64Array(...aligned(bytes, 8), count)) };
  if (dtype !== "F16" && dtype !== "BF16")
    throw new Error(`tensor ${name} is ${dtype}, expected F32, F64, F16 or BF16`);
  const halves = new Uint16Array(...aligned(bytes, 2), count);
  const bits = Uint32Array.from(halves, dtype === "BF16" ? (half) => half << 16 : float32BitsOfHalf);
  return { name, shape, data: new Float32Array(bits.buffer) };
}

/** Where a typed array can be laid over `bytes`; over a copy where their place does not allow it. */
function aligned(bytes: Uint8Array, size: number): [ArrayBufferLike, number] {
  if (bytes.byteOffset % size === 0) return [bytes.buffer, bytes.byteOffset];
  // Not `bytes.slice()`: of a Buffer that is a view, of the same memory from its start.
  return [Uint8Array.from(bytes).buffer, 0];
}

/** IEEE 754 binary16 to binary32: sign, 5 bits of exponent (bias 15) and 10 of fraction to 8 (bias 127) and 23. */
function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal half is a normal float32: shifted until its leading one stands where the hidden bit is.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
