/**
 * What one option is, and the checks that several options share. `option-table.ts` is made of these.
 */
import { z } from "zod";

export type OptionClass = "identity" | "policy" | "execution";
export type CommandName =
  | "run"
  | "enqueue"
  | "work"
  | "exporter"
  | "models"
  | "models verify"
  | "doctor"
  | "results"
  | "results search"
  | "results push"
  | "runs"
  | "schedule"
  | "runs retry"
  | "plan"
  | "diff";

export interface OptionSpec<T = unknown> {
  /** As a flag is written, without a value for booleans: `--chunk-size <n>`. */
  readonly flag: string;
  readonly class: OptionClass;
  readonly commands: readonly CommandName[];
  readonly description: string;
  /** Completes the sentence "Expected `option` to be …". */
  readonly expected: string;
  /** Parses a flag's or variable's text as well as a config file's value. */
  readonly schema: z.ZodType<T>;
  readonly default: T;
  /** What the documentation says of the default, where it depends on the machine. */
  readonly defaultText?: string;
  /** Whether it is an address that may hold a password, so that a bad value is shown without. */
  readonly mayHoldSecret?: boolean;
  /** Other than `LABELMILL_` + the name. */
  readonly env?: string;
}

/** Types one entry of the table. */
export const option = <T>(spec: OptionSpec<T>): OptionSpec<T> => spec;

/** A whole number of that range, also as text. */
export const integer = (min: number, max: number) =>
  z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.number().int().min(min).max(max));
/** True or false, also as text. */
export const flagValue = z.union([
  z.boolean(),
  z.enum(["true", "1", "false", "0"]).transform((v) => v === "true" || v === "1"),
]);
/** Repeated flags, a list in a config file, or comma-separated text in a variable. */
export const texts = z.union([
  z.array(z.string().min(1)),
  z.string().transform((v) => v.split(",").filter((s) => s !== "")),
]);
/** Different numbers of devices, with commas between them, or as a list in a config file. */
export const gpuNumbers = z
  .preprocess((value) => (typeof value === "string" ? value.split(",") : value), z.array(integer(0, 1023)).min(1))
  .refine((numbers) => new Set(numbers).size === numbers.length);
export const text = z.string().min(1);
/** A length of time as `90s`, `30m`, `12h` or `7d`, of a minute at least. */
export const duration = z
  .string()
  .regex(/^[1-9]\d{0,8}[smhd]$/)
  .refine((value) => durationMs(value) >= 60_000 && durationMs(value) <= 3_650 * 86_400_000);

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The milliseconds of a `duration`. */
export function durationMs(value: string): number {
  return Number(value.slice(0, -1)) * unitMs[value.slice(-1) as keyof typeof unitMs];
}
