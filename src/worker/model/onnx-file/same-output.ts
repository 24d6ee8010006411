/** What a graph says of some images, one after another. */
export interface GraphOutput {
  readonly embeddings: Float32Array;
  readonly logits: Float32Array;
}

/**
 * Share of an output's largest number by which two runs on one image may differ. Batches of other sizes add up in another
 * order, and GPUs round factors to TF32's 11 bits (5e-4); a graph that mixes images is further off.
 */
const tolerance = 0.005;

/** Throws an Error that says what of `found` differs from `expected`, and `how`; also where a number is not finite. */
export function requireSameOutput(found: GraphOutput, expected: GraphOutput, how: string): void {
  requireSame("embedding", [found.embeddings, expected.embeddings], how);
  requireSame("logits", [found.logits, expected.logits], how);
}

function requireSame(name: string, [found, expected]: readonly [Float32Array, Float32Array], how: string): void {
  if (![...found, ...expected].every(Number.isFinite))
    throw new Error(`its ${name} of a picture holds a number that is not finite`);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = found.reduce((most, value, at) => Math.max(most, Math.abs(value - (expected[at] as number))), 0);
  if (difference > largest * tolerance)
    throw new Error(
      `its ${name} ${how} (a number is off by ${difference.toPrecision(2)} of ${largest.toPrecision(2)})`,
    );
}
