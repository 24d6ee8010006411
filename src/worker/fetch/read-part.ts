import type { Outcome } from "../outcome.js";
import type { Admit, FetchedBytes } from "./fetcher.js";

/** Consecutive bytes of a file. */
export interface FilePart {
  /** Uri of the file. */
  readonly archive: string;
  /** What stands for it in messages. */
  readonly shown: string;
  readonly offset: number;
  /** Checked against the limit of an item by the caller. */
  readonly length: number;
}

/** What the place says of the file, and the part's bytes: exactly `length`. */
export type PartBytes = Omit<FetchedBytes, "sha256">;

/** Gets a part of a file; a place that cannot give it alone is a failure value, as is one that has not got all of it. */
export type ReadPart = (part: FilePart, signal: AbortSignal, admit: Admit) => Promise<Outcome<PartBytes>>;
