/** Text forms that a source may have: a list of paths or uris, and tables. */
export const inputFormats = ["txt", "csv", "tsv", "jsonl"] as const;
export type InputFormat = (typeof inputFormats)[number];
