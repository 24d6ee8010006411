import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { parse } from "yaml";
import { LabelmillError, messageOf, systemCode } from "../shared/errors.js";
import type { CommandName, OptionSpec } from "../shared/option-spec.js";
import { optionTable } from "../shared/option-table.js";
import { envNameOf, optionNames, type ResolvedOptions, resolveOptions } from "../shared/options.js";

/** What `run` and `enqueue` take. */
export const sourceHelp =
  "directories, globs, lists (.txt), tables (.csv, .tsv, .jsonl, .parquet), texts also as .gz or .zst, tar shards (.tar), s3://bucket/prefix, http(s) addresses of images, lists, tables and shards, - for stdin";

const configNames = ["labelmill.config.json", "labelmill.config.yaml", "labelmill.config.yml"];

/** Adds the options of the table that `name` takes. They get no default here: the layers below decide it. */
export function addFlags(command: Command, name: CommandName): Command {
  for (const option of optionNames) {
    const spec: OptionSpec = optionTable[option];
    if (!spec.commands.includes(name)) continue;
    const shown = spec.defaultText ?? (Array.isArray(spec.default) ? "none" : String(spec.default));
    const flag = new Option(spec.flag, `${spec.description} (default: ${shown}; env: ${envNameOf(option)})`);
    if (Array.isArray(spec.default)) flag.argParser((value: string, before: string[] = []) => [...before, value]);
    command.addOption(flag);
  }
  return command;
}

/** Flags > environment > config file in the current directory > defaults. Throws OPTION_*. */
export async function resolveFlags(flags: Record<string, unknown>): Promise<ResolvedOptions> {
  return resolveOptions({ flags, env: process.env, config: await readConfig(process.cwd()) });
}

async function readConfig(directory: string): Promise<{ path: string; values: Record<string, unknown> } | null> {
  for (const name of configNames) {
    const path = join(directory, name);
    const text = await readFile(path, "utf8").catch((error: unknown) => {
      if (systemCode(error) === "ENOENT") return null;
      throw new LabelmillError("OPTION_CONFIG", { path, reason: messageOf(error) }, { cause: error });
    });
    if (text !== null) return { path, values: parseConfig(path, text) };
  }
  return null;
}

function parseConfig(path: string, text: string): Record<string, unknown> {
  try {
    // JSON is YAML, so one parser reads both.
    const values: unknown = parse(text);
    if (typeof values === "object" && values !== null && !Array.isArray(values))
      return values as Record<string, unknown>;
    throw new Error("it is not a mapping of options");
  } catch (error) {
    throw new LabelmillError("OPTION_CONFIG", { path, reason: messageOf(error) }, { cause: error });
  }
}
