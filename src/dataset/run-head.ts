/**
 * `run.json`, the first file of a dataset: who the run is and what fixes its rows. A run's identity never changes, so
 * the same command finds its run again and another command is refused. Not the run's progress: that is its parts, and
 * the record in Redis. Called by the producer (create) and by everything that opens a dataset (read).
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { z } from "zod";
import { type EmbeddingForm, embeddingForms } from "../shared/embedding-form.js";
import { LabelmillError, messageOf } from "../shared/errors.js";
import { type InputFormat, inputFormats } from "../shared/input-formats.js";
import { type Precision, precisions } from "../shared/precision.js";
import { type PartFormat, runHeadPath } from "./layout.js";
import { corrupt, describeIssues, encodeRecord } from "./record-file.js";
import type { Storage } from "./storage/storage.js";

/** Everything that decides which rows a run makes, and in what form. */
export interface RunIdentity {
  /** Absolute and canonical. */
  readonly sources: readonly string[];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly allFiles: boolean;
  readonly limit: number | null;
  readonly sample: number | null;
  readonly sampleSeed: number;
  readonly dedupe: "none" | "uri";
  readonly uriColumn: string;
  readonly idColumn: string | null;
  readonly keepColumns: readonly string[];
  readonly inputFormat: InputFormat | null;
  /** Items of a chunk, so rows of a part. */
  readonly chunkSize: number;
  readonly model: string;
  readonly modelSha256: string;
  readonly preprocessSha256: string;
  readonly precision: Precision;
  readonly topK: number;
  readonly embedding: EmbeddingForm;
  readonly format: PartFormat;
  /** The dataset that rows are carried over from. Absent where every row is made. */
  readonly against?: AgainstDataset;
  /** With `against`: which items are done again (`item-classes.ts`). */
  readonly only?: readonly string[];
  /** Of a retry: its number. It lies in the dataset that it is `against`, and its rows are rows of that one's run. */
  readonly retry?: number;
}

/** A dataset by its place and its run. */
export interface AgainstDataset {
  readonly out: string;
  readonly runId: string;
  readonly epoch: string;
}

export interface RunHead {
  readonly schemaVersion: 1;
  /** Date and random part: `20261124-4f2a9c1e`. */
  readonly runId: string;
  /** Random; tells this dataset from another that once lay in the same place. */
  readonly epoch: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly identity: RunIdentity;
  /** `identityHash(identity)`. */
  readonly identitySha256: string;
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const positive = z.int().min(1);

const identitySchema = z.strictObject({
  sources: z.array(z.string()),
  include: z.array(z.string()),
  exclude: z.array(z.string()),
  allFiles: z.boolean(),
  limit: positive.nullable(),
  sample: positive.nullable(),
  sampleSeed: z.int().min(0),
  dedupe: z.enum(["none", "uri"]),
  uriColumn: z.string().min(1),
  idColumn: z.string().min(1).nullable(),
  keepColumns: z.array(z.string()),
  inputFormat: z.enum(inputFormats).nullable(),
  chunkSize: positive,
  model: z.string().min(1),
  modelSha256: sha256,
  preprocessSha256: sha256,
  precision: z.enum(precisions),
  topK: positive,
  embedding: z.enum(embeddingForms),
  format: z.enum(["parquet", "jsonl"]),
  against: z.strictObject({ out: z.string(), runId: z.string(), epoch: z.string() }).exactOptional(),
  only: z.array(z.string()).exactOptional(),
  retry: positive.exactOptional(),
}) satisfies z.ZodType<RunIdentity>;

const headSchema = z.strictObject({
  schemaVersion: z.literal(1),
  runId: z.string().regex(/^\d{8}-[0-9a-f]{8}$/),
  epoch: z.uuid(),
  createdAt: z.iso.datetime(),
  identity: identitySchema,
  identitySha256: sha256,
}) satisfies z.ZodType<RunHead>;

/** Hex sha256 of the identity's canonical JSON: keys sorted, no spaces. Equal hash = same run. */
export function identityHash(identity: RunIdentity): string {
  const sorted = Object.fromEntries(Object.entries(identity).sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}

/** The `run_id` of the run's rows: its own, or, of a retry, that of the run which it mends. */
export function rowsRunId({ runId, identity }: Pick<RunHead, "runId" | "identity">): string {
  return identity.retry === undefined || identity.against === undefined ? runId : identity.against.runId;
}

/**
 * Makes the dataset of a new run, or opens the one that is there if it has this identity. Of several callers at once,
 * one creates. Throws `RUN_IDENTITY`, naming each option that differs; `RUN_NOT_A_DATASET` where the place holds other
 * files; `RUN_SCHEMA`; `STORAGE_*`.
 */
export async function createRunHead(
  storage: Storage,
  identity: RunIdentity,
): Promise<{ readonly head: RunHead; readonly created: boolean }> {
  const stored = await findRunHead(storage);
  if (stored) return { head: requireIdentity(storage, stored, identity), created: false };
  await refuseForeign(storage);
  const head = newRunHead(identity);
  await storage.prepare();
  const outcome = await storage.createOnce(runHeadPath, encodeRecord(head));
  if (outcome === "created") return { head, created: true };
  return { head: requireIdentity(storage, await readRunHead(storage), identity), created: false };
}

/** Reads `run.json`. Throws `RUN_NOT_A_DATASET`, `RUN_SCHEMA`, `RUN_DATASET_CORRUPT`. */
export async function readRunHead(storage: Storage): Promise<RunHead> {
  const head = await findRunHead(storage);
  if (head === null) throw notADataset(storage, "there is no such file");
  return head;
}

async function findRunHead(storage: Storage): Promise<RunHead | null> {
  const bytes = await storage.read(runHeadPath);
  if (bytes === null) return null;
  const value = parseHead(storage, bytes);
  const version = z.object({ schemaVersion: z.number() }).safeParse(value);
  if (version.success && version.data.schemaVersion !== 1) {
    const details = { out: storage.location, found: version.data.schemaVersion, expected: 1 };
    throw new LabelmillError("RUN_SCHEMA", details);
  }
  const head = headSchema.safeParse(value);
  if (!head.success) throw notADataset(storage, describeIssues(head.error), head.error);
  if (identityHash(head.data.identity) !== head.data.identitySha256) {
    throw corrupt(storage, runHeadPath, "the identity is not the one that its digest was made of");
  }
  return head.data;
}

function parseHead(storage: Storage, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw notADataset(storage, `run.json is not JSON: ${messageOf(error)}`, error);
  }
}

function newRunHead(identity: RunIdentity): RunHead {
  const createdAt = new Date().toISOString();
  const runId = `${createdAt.slice(0, 10).replaceAll("-", "")}-${randomBytes(4).toString("hex")}`;
  return { schemaVersion: 1, runId, epoch: randomUUID(), createdAt, identity, identitySha256: identityHash(identity) };
}

/** Names that say nothing about whose a directory is: hidden files, and what a fresh file system has at its root. */
const isUnremarkable = (path: string): boolean => path.startsWith(".") || path === "lost+found/";

async function refuseForeign(storage: Storage): Promise<void> {
  const found = (await storage.list("")).find((path) => !isUnremarkable(path));
  // run.json: another caller has created the run since we looked, and createOnce will tell.
  if (found !== undefined && (await storage.size(runHeadPath)) === null) {
    throw notADataset(storage, `it is not empty, it holds ${found}`);
  }
}

function requireIdentity(storage: Storage, head: RunHead, asked: RunIdentity): RunHead {
  if (identityHash(asked) === head.identitySha256) return head;
  const options = new Set(Object.keys({ ...head.identity, ...asked })) as Set<keyof RunIdentity>;
  const differences = [...options]
    .filter((option) => JSON.stringify(head.identity[option]) !== JSON.stringify(asked[option]))
    .map((option) => `${option} ${show(head.identity[option])} vs ${show(asked[option])} asked for`);
  const details = { out: storage.location, runId: head.runId, differences: differences.join(", ") };
  throw new LabelmillError("RUN_IDENTITY", details);
}

function show(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "none");
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function notADataset(storage: Storage, reason: string, cause?: unknown): LabelmillError {
  return new LabelmillError("RUN_NOT_A_DATASET", { out: storage.location, reason }, { cause });
}
