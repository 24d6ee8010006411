/**
 * The closed table of everything that can go wrong, for items and for whole runs.
 *
 * An item's failure is a value (`Failure`) until it is a row; a `LabelmillError` is thrown for infrastructure and usage
 * only. `docs/errors.md` is compared with this table, both ways, by a test.
 */
import { controlErrors } from "./control-errors.js";
import { type ErrorSpec, failed, item, usage } from "./error-spec.js";
import { fetchErrors } from "./fetch-errors.js";
import { healthErrors } from "./health-errors.js";
import { redisErrors } from "./redis-errors.js";
import { reprocessErrors } from "./reprocess-errors.js";
import { resultsErrors } from "./results-errors.js";
import { scheduleErrors } from "./schedule-errors.js";
import { sinkErrors } from "./sink-errors.js";
import { storeErrors } from "./store-errors.js";

export const errorTable = {
  ...fetchErrors,
  DECODE_UNSUPPORTED: item(
    "Not an image in a supported format (JPEG, PNG, WebP, GIF, TIFF, AVIF): {reason}",
    "The bytes are not one of the supported formats, whatever the file's name says.",
  ),
  DECODE_CORRUPT: item("The image data is damaged: {reason}", "The format was recognised, but decoding failed."),
  DECODE_TRUNCATED: item(
    "The image ends too early: {reason}",
    "The file stops before its image does; often a broken copy.",
  ),
  LIMIT_PIXELS: item(
    "The image is larger than the limit of {limit} pixels: {reason}",
    "Width times height is over the limit that protects workers from decompression bombs.",
  ),
  LIMIT_TIME: item(
    "Decoding took longer than --item-timeout-ms {limit}",
    "The decode was stopped by ending its process; the other items of that moment were done again.",
  ),
  POLICY_PATH: item(
    "{uri} is not a regular file below an allowed directory: {reason}",
    "Directories, FIFOs, devices, sockets, and links that lead out of the allowed roots are not read. See `--allow-root`.",
  ),
  ITEM_INVALID: item(
    "Not a usable item: {reason}",
    "A line of the source names no path or uri that could be fetched, or a tar shard is damaged at that byte.",
  ),
  ENGINE_OOM: item(
    "The engine's device has too little memory for this image alone: {reason}",
    "Larger batches were halved before, the image was tried again after rests, and an image known to be good did fit. All images have one size, so none is expected to differ; without memory for any, the worker ends with ENGINE_FAILED. Free memory on the device, or take another engine or a smaller model.",
  ),
  WORKER_CRASH: item(
    "The compute process ended while it worked on this image alone: {reason}",
    "The image crashes the decoder or the engine: two processes ended over it, alone in each. Its neighbours were done again.",
  ),

  OPTION_INVALID: usage(
    "Expected `{option}` to be {expected}, got `{value}` ({from})",
    "An option has a value out of its range.",
  ),
  OPTION_UNKNOWN: usage(
    "Unknown option `{option}` in {from}; see `labelmill {command} --help`",
    "A config file names an option that does not exist.",
  ),
  OPTION_CONFIG: usage("Expected {path} to be a JSON or YAML mapping: {reason}", "The config file cannot be read."),

  RUN_SOURCE_MISSING: usage(
    "Expected `{source}` to be a directory, a list, a table or a glob, but there is nothing there",
    "The source does not exist.",
  ),
  RUN_SOURCE_KIND: usage(
    "Expected `{source}` to be a directory, a glob, a list (.txt), a table (.csv, .tsv, .jsonl, .parquet), a tar shard (.tar), s3://BUCKET/PREFIX or a web address, got {found}",
    "The source exists, but no source adapter reads such a thing; `--input-format` says what a file with another name is.",
  ),
  RUN_SOURCE_CONTENT: usage(
    "Expected {source} to be {expected}, but it holds {found}",
    "The name says one thing and the content another, or the header of a table cannot be read.",
  ),
  RUN_SOURCE_COLUMNS: usage(
    "{source} has {problem} among its columns, which are {columns}; see --uri-column, --id-column and --keep-columns",
    "A table lacks a column that was asked for, or has it more than once.",
  ),
  RUN_SOURCE_ONCE: failed(
    "The list of this run was cut off while stdin was read, and stdin cannot be read again; start a new run with another --out, from a file if it may be interrupted",
    "A list from stdin is whole once all of it is pinned; a run that was interrupted before cannot be gone on with.",
  ),
  RUN_SOURCE_EMPTY: usage(
    "No items in `{source}`: {reason}",
    "The source holds nothing to label; `--all-files` takes every file, whatever its name.",
  ),
  RUN_SOURCE_UNREADABLE: failed(
    "Could not read the source at {path}: {reason}",
    "A directory or list cannot be read by this user, a bucket cannot be listed, or a web server does not give it.",
  ),
  RUN_SOURCE_CHANGED: failed(
    "The source has changed since this run began to pin it: {reason}; start a new run with another --out",
    "A run that goes on would pin lines or rows twice, in halves or not at all, or the rest of another sample.",
  ),
  RUN_DEDUPE_FULL: failed(
    "More than {count} distinct uris, which is what --dedupe uri can hold; drop duplicates beforehand, or split the list",
    "To know every uri exactly takes memory, and this is the bound of it: 2 GiB.",
  ),
  RUN_IDENTITY: usage(
    "{out} holds run {runId}, made with {differences}; use the same values or another --out",
    "A run's identity is fixed when it is created: its source, model and row form cannot change half way.",
  ),
  RUN_NOT_A_DATASET: usage(
    "Expected {out} to be a labelmill dataset (no readable run.json): {reason}",
    "The directory is not the output of a run, or is not empty and not ours.",
  ),
  RUN_SCHEMA: failed(
    "{out} was written with schema version {found}, this version reads {expected}",
    "Another version of labelmill made the dataset.",
  ),
  RUN_DATASET_CORRUPT: failed(
    "{path} does not hold what it should: {reason}",
    "A file of the dataset is damaged or was changed by hand.",
  ),
  RUN_INCOMPLETE: failed(
    "Run {runId} is not complete: {reason}",
    "Asked for a summary of a run that has not finished.",
  ),
  RUN_RECORD_LOST: failed(
    "The record of run {runId} is no longer in Redis ({reason}); repeat the same command to go on, finished parts are kept",
    "Redis lost its data or was replaced. The dataset holds all that was done; nothing has to be done twice.",
    true,
  ),
  RUN_REPLACED: failed(
    "{out} holds run {found} now, not run {runId}; repeat the command that you want, with another --out for one of them",
    "Another command made a new dataset where this run's was. Nothing of this run is written there.",
  ),
  RUN_JOB_INVALID: failed(
    "Refused job {job} of run {runId}: {reason}",
    "A job in the queue is not one that the producer of this run wrote.",
  ),
  ...controlErrors,
  ...scheduleErrors,
  ...healthErrors,
  ...redisErrors,
  ...reprocessErrors,
  RUN_INTERRUPTED: {
    scope: "run",
    template: "Interrupted; repeat the same command to go on",
    retryable: true,
    exitCode: 130,
    doc: "The user or the system stopped the command. What was committed stays.",
  },

  REDIS_REFUSED: failed(
    "No Redis answered at {url}: {reason}",
    "The server is not running, not reachable, or refuses the credentials.",
    true,
  ),
  REDIS_POLICY: failed(
    "Redis at {url} has maxmemory-policy {policy}, which may drop queued jobs; run `redis-cli config set maxmemory-policy noeviction`",
    "A queue must never be evicted. Set noeviction in redis.conf as well.",
  ),
  REDIS_VERSION: failed(
    "Redis at {url} is version {version}; expected 6.2 or newer",
    "The queue needs commands that older servers lack.",
  ),
  REDIS_SERVER_MISSING: failed(
    "Found neither redis-server nor valkey-server on PATH; install one (Debian: apt-get install redis-server) or give --redis-url",
    "Without a Redis URL a run starts a private server, which needs the program.",
  ),
  REDIS_SERVER_FAILED: failed(
    "The private redis-server failed: {reason}",
    "It did not start, or ended in the middle of the run: then repeat the command to go on.",
    true,
  ),

  STORAGE_FULL: failed(
    "No space left to write {path}; free some (and repeat the command where it has ended)",
    "The disk or quota is full. It is waited for; nothing half-written is left.",
    true,
  ),
  STORAGE_READ_ONLY: failed(
    "Cannot write {path}: {reason}",
    "The output directory is read-only or not writable for this user.",
    true,
  ),
  STORAGE_FAILED: failed(
    "Storage failed at {path}: {reason}",
    "The file system reported an error, or the directory is gone; or an object store cannot be reached, or does not know this process's credentials.",
    true,
  ),

  ...storeErrors,

  MODEL_UNKNOWN: usage(
    "Unknown model `{name}`; known: {known}",
    "`labelmill models list` shows what there is on this machine; `labelmill models import` adds to it.",
  ),
  MODEL_NOT_PULLED: failed(
    "Model {name} is not in the cache; run `labelmill models pull {name}`",
    "The weights have not been fetched on this machine.",
  ),
  MODEL_CORRUPT: failed(
    "The cached model {name} is damaged ({reason}); {remedy}",
    "The digest of the cached weights is not the one that was pinned when they were imported, or that of the int8 ranges is not the one that was pinned when they were measured.",
  ),
  MODEL_NOT_QUANTIZED: failed(
    "There are no int8 ranges of model {name}; run `labelmill models quantize {name} --calibrate SOURCE`, or take --precision fp32",
    "The package has ranges for the models of its catalog; those of an imported model are measured on images like yours.",
  ),
  MODEL_AS_IS: usage(
    "Model {name} is an ONNX file and runs as it is, so int8 is not made of it; take --precision fp32, or quantise the file and import that",
    "An .onnx file that was imported keeps its own arithmetic. `--precision int8` and `models quantize` are for the models whose weights are read.",
  ),
  MODEL_NAME: usage(
    "`{name}` cannot be the name of a new model: {reason}",
    "An imported model needs a name of its own, of lower-case letters, digits, - and _.",
  ),
  MODEL_PULL_FAILED: failed(
    "Could not fetch the weights of {name}: {reason}",
    "The network, the server or the disk failed, or the file is not the pinned one; nothing was kept. `models import` takes a file that you fetched otherwise.",
    true,
  ),
  MODEL_INVALID: failed(
    "The weights of {name} are not usable: {reason}",
    "The file is damaged, of a foreign format, or not of a model that this version runs: the message names the tensor, node, entry or byte. Nothing was cached, and no program in the file was run.",
  ),
  ...resultsErrors,
  ...sinkErrors,
  ENGINE_UNAVAILABLE: failed(
    "Engine {engine} cannot run here: {reason}",
    "`labelmill doctor` says what is here and what to install.",
  ),
  ENGINE_DEVICE: usage(
    "Cannot use --devices {devices}: {reason}",
    "A GPU that is named is not there, or the engine runs on none that could be chosen.",
  ),
  ENGINE_FAILED: failed(
    "The compute process cannot work: {reason}",
    "It failed to start, or failed on images that are known to be good.",
  ),
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof errorTable;
/** Codes that stand in the `error_code` column of a row. */
export type ItemErrorCode = { [K in ErrorCode]: (typeof errorTable)[K]["scope"] extends "item" ? K : never }[ErrorCode];
/** Codes that end a command. */
export type RunErrorCode = Exclude<ErrorCode, ItemErrorCode>;

export type ErrorDetails = Readonly<Record<string, string | number>>;

/** Why an item has no prediction. A value: it becomes a row, and is never thrown. */
export interface Failure {
  readonly code: ItemErrorCode;
  readonly message: string;
}

/** Fills an item code's template. */
export function failure(code: ItemErrorCode, details: ErrorDetails = {}): Failure {
  return { code, message: fillTemplate(errorTable[code].template, details) };
}

/** An error of the run or of its infrastructure; never of one item. `cause` keeps the original. */
export class LabelmillError extends Error {
  readonly code: RunErrorCode;
  readonly exitCode: 1 | 2 | 130;
  readonly retryable: boolean;

  constructor(code: RunErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(fillTemplate(errorTable[code].template, details), options);
    this.name = "LabelmillError";
    this.code = code;
    this.exitCode = errorTable[code].exitCode;
    this.retryable = errorTable[code].retryable;
  }
}

/** The error of `code` whose message was made, from the same table, in another process or thread. */
export function errorFromAfar(code: RunErrorCode, message: string): LabelmillError {
  const error = new LabelmillError(code);
  error.message = message;
  return error;
}

/** Whether `thrown` is our error of that code. */
export function isCode(thrown: unknown, code: RunErrorCode): thrown is LabelmillError {
  return thrown instanceof LabelmillError && thrown.code === code;
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.replaceAll(/\s*\n\s*/g, "; ");
}

/** Node's `code` of a system error (`ENOENT`, `ENOSPC`, …), or undefined. */
export function systemCode(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

function fillTemplate(template: string, details: ErrorDetails): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, key: string) => String(details[key] ?? `{${key}}`));
}
