/** Most images that a model call may be asked to take. */
export const largestBatchSize = 1024;

/** Images of one model call, as a user asks for them: `auto` measures; null takes what the engine is usually given. */
export type BatchSizeRequest = number | "auto" | null;
