/** What one code of the table is, and the three kinds of them. `errors.ts` and `fetch-errors.ts` are made of these. */

/** One entry of the table. `exitCode` is the command's exit status and exists for run errors only. */
export interface ErrorSpec {
  readonly scope: "item" | "run";
  /** One sentence: what was expected, what was found, what to do. `{name}` is replaced by a detail. */
  readonly template: string;
  /** Whether the same attempt may succeed later without anybody changing the input. */
  readonly retryable: boolean;
  readonly exitCode?: 1 | 2 | 130;
  /** What it means and what to do about it, for `docs/errors.md`. */
  readonly doc: string;
}

/** A code of a row. */
export const item = (template: string, doc: string, retryable = false) =>
  ({ scope: "item", template, doc, retryable }) as const satisfies ErrorSpec;
/** A code that ends a command with status 1. */
export const failed = (template: string, doc: string, retryable = false) =>
  ({ scope: "run", template, doc, retryable, exitCode: 1 }) as const satisfies ErrorSpec;
/** A code of a command that cannot work as it is given. */
export const usage = (template: string, doc: string) =>
  ({ scope: "run", template, doc, retryable: false, exitCode: 2 }) as const satisfies ErrorSpec;
