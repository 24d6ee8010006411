import type { TensorShape } from "../spec.js";

/** A float32 tensor, row-major. */
export interface Tensor extends TensorShape {
  readonly data: Float32Array;
}

/** Weights with batch norm folded in: the tensors of `foldedShapesOf(spec)` by name, in that order. */
export type FoldedWeights = ReadonlyMap<string, Tensor>;

/** The memory of `data` as bytes, not copied. Little-endian, as every platform is that the engines run on. */
export function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Checks that `tensors` are exactly `expected`: none missing, none unknown or doubled, each of its shape.
 * Returns them by name in the order of `expected`, or throws an Error whose message names the tensor.
 */
export function matchTensors<T extends TensorShape>(
  expected: readonly TensorShape[],
  tensors: Iterable<T>,
): Map<string, T> {
  const found = new Map<string, T>();
  for (const tensor of tensors) {
    if (found.has(tensor.name)) throw new Error(`tensor ${tensor.name} is there twice`);
    found.set(tensor.name, tensor);
  }
  const matched = new Map<string, T>();
  for (const { name, shape } of expected) {
    const tensor = found.get(name);
    if (tensor === undefined) throw new Error(`tensor ${name} is missing`);
    if (tensor.shape.join() !== shape.join()) {
      throw new Error(`tensor ${name} has shape [${tensor.shape.join(", ")}], expected [${shape.join(", ")}]`);
    }
    matched.set(name, tensor);
    found.delete(name);
  }
  for (const name of found.keys()) throw new Error(`tensor ${name} is unknown`);
  return matched;
}
