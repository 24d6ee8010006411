/**
 * What a rerun calls an item, by comparison with the rows of an earlier dataset. An item is of one class alone: the first of
 * this order that is true of it.
 *
 * | class | the earlier dataset |
 * |---|---|
 * | new | has no row of an item with this id and uri |
 * | stale | was made with another model, preprocessing, precision, top-k or form of embeddings, so every row of it is stale |
 * | failed | has a row that failed |
 * | changed | has a row of other bytes, as size and time, or the sha256, tell |
 * | unknown | has a row, and only the item's server can tell whether its bytes are the same |
 * | unchanged | has its row |
 */
import { errorTable, type ItemErrorCode } from "./errors.js";

export const itemClassWords = ["new", "changed", "stale", "failed"] as const;
/** What may be done again by name. */
export type RedoneClass = (typeof itemClassWords)[number];
export type ItemClass = RedoneClass | "unknown" | "unchanged";

/** The classes of `--only`, among them perhaps `failed:CODE`. */
export interface OnlyClasses {
  has(itemClass: RedoneClass): boolean;
  /** Whether rows that failed with `code` are done again. */
  hasCode(code: string): boolean;
}

const failedCode = /^failed:([A-Z_]+)$/;

/** In one order and each once, so that equal sets are equal lists; null where a word is none or there is none. */
export function parseOnly(words: readonly string[]): readonly string[] | null {
  const trimmed = [...new Set(words.map((word) => word.trim()))];
  if (trimmed.length === 0 || !trimmed.every(isOnlyWord)) return null;
  const known = itemClassWords.filter((word) => trimmed.includes(word));
  return [...known, ...trimmed.filter((word) => failedCode.test(word)).sort()];
}

export function openOnly(words: readonly string[]): OnlyClasses {
  return {
    has: (itemClass) => words.includes(itemClass),
    hasCode: (code) => words.includes("failed") || words.includes(`failed:${code}`),
  };
}

function isOnlyWord(word: string): boolean {
  return itemClassWords.some((known) => known === word) || isItemCode(failedCode.exec(word)?.[1] ?? "");
}

/** Whether `code` may stand in a failed row. */
export function isItemCode(code: string): code is ItemErrorCode {
  return Object.hasOwn(errorTable, code) && errorTable[code as keyof typeof errorTable].scope === "item";
}
