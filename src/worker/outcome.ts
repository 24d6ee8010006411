import type { Failure } from "../shared/errors.js";

/** What became of one item at one stage: a value, or the failure that its row will state. Never an exception. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

export const succeeded = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const failedWith = (failure: Failure): Outcome<never> => ({ ok: false, failure });
