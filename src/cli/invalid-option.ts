import { LabelmillError } from "../shared/errors.js";

/** Throws nothing itself: the error for the value of an option that one command alone has. */
export function invalid(option: string, expected: string, value: string, from = "flag"): LabelmillError {
  return new LabelmillError("OPTION_INVALID", { option, expected, value, from });
}

/** The whole number that `text` says. Throws OPTION_INVALID. */
export function parseInteger(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(option, `an integer from ${min} to ${max}`, text);
}
