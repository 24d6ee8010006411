/** Cosine of the angle between two vectors of one length, in float64. */
export function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`Expected two vectors of one length, got ${a.length} and ${b.length}`);
  const dot = (x: Float32Array, y: Float32Array): number =>
    x.reduce((sum, value, index) => sum + value * (y[index] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
