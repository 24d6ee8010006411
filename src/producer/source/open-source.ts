/**
 * Chooses the adapter of each thing that the user named, by what is there and by its name, and makes one source of all.
 * Called by the producer, and by commands that want a handful of images.
 */
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import type { InputFormat } from "../../shared/input-formats.js";
import type { S3ClientSettings } from "../../shared/s3/client.js";
import { isS3Uri, uriOfObject } from "../../shared/s3-uri.js";
import { sumCounts } from "./counts.js";
import { openCsv } from "./csv.js";
import { openDirectory } from "./directory.js";
import { isGlob, openGlob, splitGlob } from "./glob.js";
import { openJsonl } from "./jsonl.js";
import { openList } from "./list.js";
import { openObjectStore, parsePrefix } from "./object-store.js";
import { openParquet } from "./parquet.js";
import { openSample } from "./sample.js";
import type { Source, SourceItem, SourceOptions, TableColumns } from "./source.js";
import { openStdin, type StandardInput } from "./stdin.js";
import { openFileText, openStreamText, type Packing, type Text } from "./text.js";

/** How stdin is written, and how its name stands in a run's identity. */
export const stdinName = "-";

export interface SourcePlace {
  readonly cwd: string;
  /** Absent where the command does not read it. */
  readonly stdin?: StandardInput;
  /** The same. */
  readonly s3?: S3ClientSettings;
}

/**
 * Opens what the user named, in the given order, as one source: directories, globs, lists, tables, prefixes of buckets, `-`.
 * `names` are absolute. Throws RUN_SOURCE_MISSING, RUN_SOURCE_KIND, RUN_SOURCE_UNREADABLE.
 */
export async function openSources(
  args: readonly string[],
  options: SourceOptions,
  place: SourcePlace,
): Promise<{ source: Source; names: string[] }> {
  const sources: Source[] = [];
  const isRepeated = args.indexOf(stdinName) !== args.lastIndexOf(stdinName);
  if (isRepeated) throw new LabelmillError("RUN_SOURCE_KIND", { source: stdinName, found: "stdin twice" });
  for (const arg of args) sources.push(await openSource(arg, options, place));
  const names = args.map((arg) => nameOf(arg, place.cwd));
  const all = concatSources(sources);
  const { sample, sampleSeed } = options;
  return { source: sample === null ? all : openSample(all, { size: sample, seed: sampleSeed }), names };
}

function nameOf(arg: string, cwd: string): string {
  if (arg === stdinName) return arg;
  return isS3Uri(arg) ? uriOfObject(parsePrefix(arg)) : resolve(cwd, arg);
}

async function openSource(arg: string, options: SourceOptions, { cwd, stdin, s3 }: SourcePlace): Promise<Source> {
  if (arg === stdinName && stdin !== undefined) {
    const format = options.inputFormat ?? "txt";
    return openStdin(stdin, (stream) => openText(openStreamText("stdin", stream, cwd), format, options));
  }
  if (isS3Uri(arg) && s3 !== undefined) return openObjectStore(parsePrefix(arg), options, s3);
  const path = resolve(cwd, arg);
  const found = await statOf(path);
  if (found === null && isGlob(arg)) {
    const { root, glob } = splitGlob(arg, cwd);
    if ((await statOf(root))?.isDirectory()) return openGlob(root, glob, options);
  }
  if (found === null) throw new LabelmillError("RUN_SOURCE_MISSING", { source: path });
  if (found.isDirectory()) return openDirectory(path, options);
  if (!found.isFile()) throw new LabelmillError("RUN_SOURCE_KIND", { source: path, found: "a special file" });
  return openFile(path, options);
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return null;
    throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
  }
}

const packings: Readonly<Record<string, Packing>> = { ".gz": "gzip", ".zst": "zstd" };
const formats: Readonly<Record<string, InputFormat>> = {
  ".txt": "txt",
  ".csv": "csv",
  ".tsv": "tsv",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
};

/** By the endings of its name: `list.txt`, `table.csv.gz`, `table.parquet`; else by `--input-format`. */
function openFile(path: string, options: SourceOptions): Source {
  const [, name = "", packed = ""] = /^(.*?)(\.gz|\.zst)?$/s.exec(path.toLowerCase()) ?? [];
  const ending = /\.[a-z]+$/.exec(name)?.[0] ?? "";
  if (ending === ".parquet" && packed === "") return openParquet(path, options);
  const format = formats[ending] ?? options.inputFormat;
  if (format === null) throw new LabelmillError("RUN_SOURCE_KIND", { source: path, found: "another file" });
  return openText(openFileText(path, packings[packed] ?? "none", dirname(path)), format, options);
}

function openText(text: Text, format: InputFormat, columns: TableColumns): Source {
  if (format === "txt") return openList(text);
  if (format === "jsonl") return openJsonl(text, columns);
  return openCsv(text, format === "csv" ? "," : "\t", columns);
}

/** One source after the other. The resume token is the source's number and its own token. */
function concatSources(sources: readonly Source[]): Source {
  return {
    async *items(after): AsyncGenerator<SourceItem> {
      const [, number = "0", token = null] = after === null ? [] : (/^(\d+):(.*)$/s.exec(after) ?? []);
      const first = Number(number);
      for (const [i, source] of sources.entries()) {
        if (i < first) continue;
        for await (const item of source.items(i === first ? token : null))
          yield { ...item, token: `${i}:${item.token}` };
      }
    },
    leftOut: () => sumCounts(sources.map((source) => source.leftOut())),
    roots: [...new Set(sources.flatMap((source) => source.roots))],
  };
}
