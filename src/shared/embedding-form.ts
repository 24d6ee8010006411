/** How a run keeps embeddings; `none` leaves the column out. */
export const embeddingForms = ["float32", "float16", "none"] as const;
export type EmbeddingForm = (typeof embeddingForms)[number];
