/**
 * The cosine of the angle between two vectors of one length, in float64. Embeddings of ReLU networks are never all zero,
 * unless something is wrong: then it is not a number.
 */
export function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [index, x] of a.entries()) {
    const y = b[index] as number;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / Math.sqrt(aa * bb);
}
