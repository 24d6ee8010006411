/**
 * Resolves options: flag > environment > config file > default, each value checked by the option table. The result is
 * frozen and complete; nothing after this sees a partial one.
 */
import { LabelmillError } from "./errors.js";
import type { OptionSpec } from "./option-spec.js";
import { type OptionName, optionTable } from "./option-table.js";
import { redactUrl } from "./redact-url.js";

type ValueOf<S> = S extends OptionSpec<infer T> ? T : never;
/** Every option with its value. */
export type ResolvedOptions = { readonly [N in OptionName]: ValueOf<(typeof optionTable)[N]> };
/** Options as a caller gives them: any subset. */
export type Options = { readonly [N in OptionName]?: ResolvedOptions[N] | undefined };

/** The layers, strongest first. Values are unchecked: text from flags and environment, anything from a config file. */
export interface OptionLayers {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly config?: { readonly path: string; readonly values: Readonly<Record<string, unknown>> } | null;
}

export const optionNames = Object.keys(optionTable) as OptionName[];

/** The environment variable of an option: `LABELMILL_CHUNK_SIZE`, or `REDIS_URL`. */
export function envNameOf(name: OptionName): string {
  const spec: OptionSpec = optionTable[name];
  return spec.env ?? `LABELMILL_${name.replaceAll(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;
}

/** Throws OPTION_INVALID for a bad value and OPTION_UNKNOWN for a name that the config file should not have. */
export function resolveOptions({ flags = {}, env = {}, config = null }: OptionLayers): ResolvedOptions {
  const unknown = Object.keys(config?.values ?? {}).find((name) => !(name in optionTable));
  if (unknown !== undefined) {
    throw new LabelmillError("OPTION_UNKNOWN", { option: unknown, from: config?.path ?? "", command: "run" });
  }
  const resolved = optionNames.map((name) => {
    const variable = envNameOf(name);
    const layers: [unknown, string][] = [
      [flags[name], "flag"],
      [env[variable] === "" ? undefined : env[variable], variable],
      [config?.values[name], config?.path ?? ""],
    ];
    const given = layers.find(([value]) => value !== undefined);
    return [name, given === undefined ? optionTable[name].default : checkOption(name, given[0], given[1])];
  });
  return Object.freeze(Object.fromEntries(resolved)) as ResolvedOptions;
}

function checkOption(name: OptionName, value: unknown, from: string): unknown {
  const spec: OptionSpec = optionTable[name];
  const parsed = spec.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const shown = spec.mayHoldSecret === true ? redactUrl(text) : text;
  throw new LabelmillError("OPTION_INVALID", { option: name, expected: spec.expected, value: shown, from });
}
