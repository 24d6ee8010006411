/**
 * Chooses the adapter of each thing that the user named, by what is there and by its name, and makes one source of all.
 * Called by the producer, and by commands that want a handful of images.
 */
import { realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LabelmillError, messageOf, systemCode } from "../../shared/errors.js";
import { isHttpUri, redactUri } from "../../shared/http-uri.js";
import type { InputFormat } from "../../shared/input-formats.js";
import type { S3ClientSettings } from "../../shared/s3/client.js";
import { isS3Uri, uriOfObject } from "../../shared/s3-uri.js";
import { sumCounts } from "../counts.js";
import { beforeBraceRange, expandBraceRanges, hasBraceRange } from "./brace-range.js";
import { openCsv } from "./csv.js";
import { openDirectory } from "./directory.js";
import { fileKindOf } from "./file-kind.js";
import { isGlob, openGlob, splitGlob } from "./glob.js";
import { openJsonl } from "./jsonl.js";
import { openList } from "./list.js";
import { openObjectStore, parsePrefix } from "./object-store.js";
import { openParquet } from "./parquet.js";
import { openSample } from "./sample.js";
import type { RemoteFiles, Source, SourceItem, SourceOptions, TableColumns } from "./source.js";
import { openStdin, type StandardInput } from "./stdin.js";
import { openTar } from "./tar.js";
import { fileShard, openTarGlob } from "./tar-file.js";
import { openFileText, openRemoteText, openStreamText, type Text } from "./text.js";
import { openWebItem, openWebTar, webAddressOf } from "./web.js";

/** How stdin is written, and how its name stands in a run's identity. */
export const stdinName = "-";

export interface SourcePlace {
  readonly cwd: string;
  /** Ends the drawing of a sample, with its reason. */
  readonly signal?: AbortSignal;
  /** Absent where the command does not read it. */
  readonly stdin?: StandardInput;
  /** The same. */
  readonly s3?: S3ClientSettings;
  /** Absent where the command reads no lists and shards from web servers. */
  readonly remote?: RemoteFiles;
}

/**
 * Opens what the user named, in the given order, as one source: directories, globs, lists, tables, tar shards, prefixes of
 * buckets, web addresses, `-`. `names` are absolute. Throws RUN_SOURCE_MISSING, RUN_SOURCE_KIND, RUN_SOURCE_UNREADABLE.
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
  return { source: sample === null ? all : openSample(all, { size: sample, seed: sampleSeed }, place.signal), names };
}

/** How a source stands in a run's identity. */
function nameOf(arg: string, cwd: string): string {
  if (arg === stdinName) return arg;
  if (isS3Uri(arg)) return uriOfObject(parsePrefix(arg));
  if (!isHttpUri(arg)) return resolve(cwd, arg);
  // What is behind a # is no part of an address, and may be a token.
  return hasBraceRange(arg) ? (arg.split("#", 1)[0] ?? "") : webAddressOf(arg);
}

async function openSource(arg: string, options: SourceOptions, place: SourcePlace): Promise<Source> {
  const { cwd, stdin, s3 } = place;
  if (arg === stdinName && stdin !== undefined) {
    const format = options.inputFormat ?? "txt";
    return openStdin(stdin, (stream) => openText(openStreamText("stdin", stream, cwd), format, options));
  }
  if (isS3Uri(arg) && s3 !== undefined) return openBucket(arg, options, s3);
  if (isHttpUri(arg)) return openWeb(arg, options, place);
  const path = resolve(cwd, arg);
  const found = await statOf(path);
  if (found === null) return openPattern(arg, options, place);
  if (found.isDirectory()) return openDirectory(path, options);
  if (!found.isFile()) throw new LabelmillError("RUN_SOURCE_KIND", { source: path, found: "a special file" });
  return openFile(path, options);
}

/** Of a name that is not there as it is: a range of names, or a glob. */
async function openPattern(arg: string, options: SourceOptions, place: SourcePlace): Promise<Source> {
  const { cwd } = place;
  const isShards = fileKindOf(arg, null)?.kind === "tar";
  if (isShards && hasBraceRange(arg)) {
    const sources: Source[] = [];
    for (const name of expandBraceRanges(arg)) sources.push(await openSource(name, options, place));
    // The range may stand in a directory's name, and a worker serves a run whose source lies below a root of its.
    const root = dirname(resolve(cwd, `${beforeBraceRange(arg)}.`));
    const all = concatSources(sources);
    return { ...all, roots: [...new Set([root, ...all.roots])] };
  }
  if (isGlob(arg)) {
    const { root, glob } = splitGlob(arg, cwd);
    if ((await statOf(root))?.isDirectory())
      return isShards ? openTarGlob(root, glob, options) : openGlob(root, glob, options);
  }
  throw new LabelmillError("RUN_SOURCE_MISSING", { source: resolve(cwd, arg) });
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return null;
    throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
  }
}

const packedTar = "a packed tar archive, in which no member can be read by itself; unpack it (gunzip, unzstd)";

/** By the endings of its name; else by `--input-format`. */
async function openFile(path: string, options: SourceOptions): Promise<Source> {
  const kind = fileKindOf(path, options.inputFormat);
  if (kind === null) throw new LabelmillError("RUN_SOURCE_KIND", { source: path, found: "another file" });
  switch (kind.kind) {
    case "parquet":
      return openParquet(path, options);
    case "tar":
      return openTar(fileShard(Buffer.from(path), path), options, await rootsOfShard(path));
    case "packed tar":
      throw new LabelmillError("RUN_SOURCE_KIND", { source: path, found: packedTar });
    case "text":
      return openText(openFileText(path, kind.packing, dirname(path)), kind.format, options);
  }
}

/** Its directory: many shards of one directory are one root. A shard that is a link was named, so what it leads to is too. */
async function rootsOfShard(path: string): Promise<readonly string[]> {
  const directory = dirname(path);
  const [target, real] = await Promise.all([realpath(path), realpath(directory)]);
  return dirname(target) === real ? [directory] : [directory, target];
}

/** A prefix of keys. One that ends like a shard's name was meant as that, and would be no image but left out. */
function openBucket(arg: string, options: SourceOptions, s3: S3ClientSettings): Source {
  const kind = fileKindOf(arg, null)?.kind;
  if (kind !== "tar" && kind !== "packed tar") return openObjectStore(parsePrefix(arg), options, s3);
  const found = "a tar shard in a bucket, which is not read there; download it, and name the file";
  throw new LabelmillError("RUN_SOURCE_KIND", { source: redactUri(arg), found });
}

/** By the endings of the address; one that says nothing is an image. */
function openWeb(arg: string, options: SourceOptions, place: SourcePlace): Source {
  if (hasBraceRange(arg)) return concatSources(expandBraceRanges(arg).map((each) => openWeb(each, options, place)));
  const uri = webAddressOf(arg);
  const kind = fileKindOf(new URL(uri).pathname, null);
  if (kind === null) return openWebItem(uri);
  const refuse = (found: string) => new LabelmillError("RUN_SOURCE_KIND", { source: uri, found });
  if (kind.kind === "packed tar") throw refuse(packedTar);
  if (kind.kind === "parquet") throw refuse("a Parquet file on a web server; download it, and name the file");
  const { remote } = place;
  if (remote === undefined) throw refuse("something on a web server that this command does not read; download it");
  if (kind.kind === "tar") return openWebTar(uri, remote, options);
  // Its entries are addresses too; none of them opens a file here.
  return { ...openText(openRemoteText(uri, kind.packing, remote), kind.format, options), roots: [] };
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
