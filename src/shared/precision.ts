/**
 * How a model computes. `fp32`: as trained. `int8`: 8-bit weights and activations, embeddings and scores float32.
 * `int8-7bit`: the same with weights of 7 bits, whose sums no CPU's 8-bit kernels saturate.
 */
export const precisions = ["fp32", "int8", "int8-7bit"] as const;

export type Precision = (typeof precisions)[number];

/** The precisions that need measured ranges of the activations. */
export type QuantizedPrecision = Exclude<Precision, "fp32">;
