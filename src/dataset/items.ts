/**
 * The pinned list of a run's items, in segments: what the run is going to do, fixed before any of it is queued. A
 * segment is a gzipped JSONL file, one header line and then one line an item, small enough to hold in memory whatever
 * the size of the run. The producer writes segments and the seal; workers read the segment that their chunk lies in.
 * Not the source: whatever became of that later, the run does what is pinned here.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { z } from "zod";
import { errorTable, type Failure, type ItemErrorCode, messageOf } from "../shared/errors.js";
import { sealedPath, segmentPath } from "./layout.js";
import { corrupt, createRecord, describeIssues, readRecord } from "./record-file.js";
import type { Storage } from "./storage/storage.js";

const deflate = promisify(gzip);
const inflate = promisify(gunzip);

/** One image to process. Any string survives being pinned: newlines and lone surrogates are escaped. */
export interface PinnedItem {
  /** Position in the run, from 0. */
  readonly index: number;
  readonly id: string;
  readonly uri: string;
  /** Line of the source's file that named it, from 1. */
  readonly line?: number;
  /** Kept columns of the source. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Known before any work to be unusable; becomes a failed row. */
  readonly failure?: Failure;
  /** Where its row may be taken from; absent where it is made. */
  readonly carry?: CarriedItem;
}

/** The row of an item in the dataset that the run's identity names as `against`. */
export interface CarriedItem {
  /** Its `item_index` there. */
  readonly row: number;
  /** Only where the item's bytes are still those of the row, which its place is to be asked. */
  readonly ask: boolean;
}

/** A run of whole chunks; only the last chunk of the last segment may be short. */
export interface Segment {
  readonly segment: number;
  readonly firstChunk: number;
  readonly chunks: number;
  /** Index of the first item: `firstChunk * chunkSize`. */
  readonly firstItem: number;
  readonly items: readonly PinnedItem[];
  /** Where the source goes on after this segment, in the source's own terms; null at its end. */
  readonly resumeToken: string | null;
  /** Entries that the source did not take up to there, from the list's start, counted by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  readonly chunkSize: number;
}

/** Ends the list: what all segments together hold. */
export interface Sealed {
  readonly segments: number;
  readonly chunks: number;
  readonly items: number;
  /** Files that the source did not take, counted by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
}

const count = z.int().min(0);
const itemCodes = (Object.keys(errorTable) as (keyof typeof errorTable)[]).filter(
  (code): code is ItemErrorCode => errorTable[code].scope === "item",
);

/** By hand, since zod's records drop a key named `__proto__`. */
function isStringRecord(value: unknown): boolean {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject && Object.values(value).every((each) => typeof each === "string");
}

const countsSchema = z.record(z.string(), count);

const headerSchema = z.strictObject({
  schemaVersion: z.literal(1),
  segment: count,
  firstChunk: count,
  chunks: z.int().min(1),
  firstItem: count,
  items: z.int().min(1),
  chunkSize: z.int().min(1),
  resumeToken: z.string().nullable(),
  leftOut: countsSchema,
});

const itemSchema = z.strictObject({
  index: count,
  id: z.string(),
  uri: z.string(),
  line: z.int().min(1).exactOptional(),
  extra: z.custom<Record<string, string>>(isStringRecord, "expected an object of strings").exactOptional(),
  failure: z.strictObject({ code: z.enum(itemCodes), message: z.string() }).exactOptional(),
  carry: z.strictObject({ row: count, ask: z.boolean() }).exactOptional(),
}) satisfies z.ZodType<PinnedItem>;

const sealedSchema = z.strictObject({
  segments: count,
  chunks: count,
  items: count,
  leftOut: countsSchema,
}) satisfies z.ZodType<Sealed>;

/**
 * How many chunks segment `n` has unless it is the last: 1, 2, 4, … 64, 64: work starts at once, and files stay few.
 */
export function segmentChunks(n: number): number {
  return 2 ** Math.min(n, 6);
}

/** The id of an item that its source gives none: the first 32 hex digits of sha256 of its canonical uri. */
export function itemIdOf(uri: string): string {
  return createHash("sha256").update(uri, "utf8").digest("hex").slice(0, 32);
}

/**
 * Makes `segment` durable, and returns the sha256 of the file. One that is pinned already stays as it is, and its
 * digest is returned: a source that changed since cannot change a run. The bytes depend on the segment alone.
 */
export async function pinSegment(
  storage: Storage,
  segment: Segment,
): Promise<{ readonly sha256: string; readonly created: boolean }> {
  requireWhole(segment);
  const bytes = await deflate(encodeSegment(segment));
  if ((await storage.createOnce(segmentPath(segment.segment), bytes)) === "created") {
    return { sha256: digest(bytes), created: true };
  }
  const stored = await readSegment(storage, segment.segment);
  if (stored === null) throw corrupt(storage, segmentPath(segment.segment), "it vanished while it was read");
  return { sha256: stored.sha256, created: false };
}

/**
 * Reads segment `n` whole; null where it is not pinned (yet). Throws `RUN_DATASET_CORRUPT` where it is damaged, or is
 * not the file that `expectedSha256` was taken of.
 */
export async function readSegment(
  storage: Storage,
  n: number,
  expectedSha256?: string,
): Promise<(Segment & { readonly sha256: string }) | null> {
  const path = segmentPath(n);
  const bytes = await storage.read(path);
  if (bytes === null) return null;
  const sha256 = digest(bytes);
  if (expectedSha256 !== undefined && sha256 !== expectedSha256) {
    throw corrupt(storage, path, `its sha256 is ${sha256}, expected ${expectedSha256}`);
  }
  try {
    const segment = decodeSegment((await inflate(bytes)).toString("utf8"));
    if (segment.segment !== n) throw new Error(`it says that it is segment ${segment.segment}`);
    return { ...segment, sha256 };
  } catch (error) {
    throw corrupt(storage, path, messageOf(error), error);
  }
}

/** The pinned segments in order, from number `first`, one in memory at a time, up to the first that is not there. */
export async function* readSegments(
  storage: Storage,
  first = 0,
): AsyncGenerator<Segment & { readonly sha256: string }> {
  for (let n = first; ; n += 1) {
    const segment = await readSegment(storage, n);
    if (segment === null) return;
    yield segment;
  }
}

/**
 * The items of chunk `chunk` (its number in the run), in order. Throws RangeError where the segment lacks that chunk.
 */
export function chunkItems(segment: Segment, chunk: number): readonly PinnedItem[] {
  const { firstChunk, chunks, chunkSize } = segment;
  if (!Number.isInteger(chunk) || chunk < firstChunk || chunk >= firstChunk + chunks) {
    throw new RangeError(`Expected \`chunk\` to be from ${firstChunk} to ${firstChunk + chunks - 1}, got \`${chunk}\``);
  }
  const start = (chunk - firstChunk) * chunkSize;
  return segment.items.slice(start, start + chunkSize);
}

/** Ends the list of items; returns the seal that it has afterwards, if another caller was first. */
export function sealItems(storage: Storage, sealed: Sealed): Promise<Sealed> {
  return createRecord(storage, sealedPath, sealedSchema, sealed);
}

/** The seal, or null while items may still be added. Throws `RUN_DATASET_CORRUPT`. */
export function readSealed(storage: Storage): Promise<Sealed | null> {
  return readRecord(storage, sealedPath, sealedSchema);
}

function encodeSegment(segment: Segment): Buffer {
  const { segment: n, firstChunk, chunks, firstItem, items, chunkSize, resumeToken, leftOut } = segment;
  const numbers = { segment: n, firstChunk, chunks, firstItem, items: items.length, chunkSize, resumeToken, leftOut };
  const header = { schemaVersion: 1, ...numbers };
  const lines = items.map(({ index, id, uri, line, extra, failure, carry }) =>
    JSON.stringify({ index, id, uri, line, extra, failure, carry }),
  );
  return Buffer.from(`${[JSON.stringify(header), ...lines].join("\n")}\n`, "utf8");
}

/** Splits at `\n` only: node:readline would also split at U+2028, which JSON leaves as it is inside strings. */
function decodeSegment(text: string): Segment {
  const lines = text.split("\n");
  if (lines.pop() !== "") throw new Error("its last line is not whole");
  const { schemaVersion: _, items: expected, ...numbers } = parseLine(headerSchema, lines[0], 1);
  const items = lines.slice(1).map((line, i) => parseLine(itemSchema, line, i + 2));
  if (items.length !== expected) throw new Error(`it holds ${items.length} items, and its header says ${expected}`);
  const segment = { ...numbers, items };
  requireWhole(segment);
  return segment;
}

function parseLine<T>(schema: z.ZodType<T>, line: string | undefined, number: number): T {
  const parsed = schema.safeParse(JSON.parse(line ?? ""));
  if (!parsed.success) throw new Error(`line ${number}: ${describeIssues(parsed.error)}`);
  return parsed.data;
}

/** The numbers that everything else is computed from must agree with the items. Throws RangeError. */
function requireWhole(segment: Segment): void {
  const { firstChunk, chunks, firstItem, chunkSize, items } = segment;
  const expect = (name: string, expected: number, got: number) => {
    if (expected !== got) throw new RangeError(`Expected \`${name}\` to be ${expected}, got \`${got}\``);
  };
  expect("firstItem", firstChunk * chunkSize, firstItem);
  expect("chunks", Math.ceil(items.length / chunkSize), chunks);
  for (const [i, item] of items.entries()) expect("index", firstItem + i, item.index);
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
