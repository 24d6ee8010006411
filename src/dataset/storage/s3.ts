/**
 * A dataset in an object store, below a prefix of a bucket. A file is one object, put whole with `If-None-Match: *`, which a
 * store refuses where the key is taken: so a reader never sees half a file, a crash leaves nothing, and the first commit wins.
 * Each object bears who wrote it and its digest: a PUT whose answer was lost, and which is refused when it is sent again, is
 * known by the one, and a read is checked by the other. Opened by `open-storage` only.
 */
import { createHash, randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { isCode, LabelmillError } from "../../shared/errors.js";
import { createS3Access, type S3Request } from "../../shared/s3/access.js";
import { ofCredentials } from "../../shared/s3/answers.js";
import { openS3Client, type S3Answer, type S3Client, S3Failure, type StoreSettings } from "../../shared/s3/client.js";
import { listLevel } from "../../shared/s3/list-objects.js";
import { type S3Place, uriOfObject } from "../../shared/s3-uri.js";
import type { CreateOutcome, Storage } from "./storage.js";

/** With the pauses between them about 4 s; what lasts longer is waited for by `shared/outages`, which says so. */
const mostTries = 5;
/** Of one file, which is held in memory: twice as much as any that we write. */
const mostBytes = 2 ** 30;
const probeWriters = 3;
const probeName = /^\.labelmill-[0-9a-f]{16}\.tmp$/;
const writerHeader = "x-amz-meta-labelmill-writer";
const digestHeader = "x-amz-meta-labelmill-sha256";
const fullCodes: ReadonlySet<string> = new Set(["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"]);

/** What an S3 storage is made of. */
interface Bucket {
  readonly endpoint: string;
  readonly bucket: string;
  /** Of all keys of the dataset: empty, or ending in `/`. */
  readonly base: string;
  readonly location: string;
  client(): Promise<S3Client>;
}

/** Storage below the prefix `key`, which does not end in `/`. Throws OPTION_INVALID for an endpoint that is none. */
export function openS3Storage({ bucket, key }: S3Place, store: StoreSettings, signal: AbortSignal): Storage {
  const access = createS3Access(store.access);
  setMaxListeners(0, signal);
  let opening: Promise<S3Client> | null = null;
  const place: Bucket = {
    endpoint: access.endpoint,
    bucket,
    base: key === "" ? "" : `${key}/`,
    location: key === "" ? `s3://${bucket}` : uriOfObject({ bucket, key }),
    client() {
      // Idle connections keep no process alive, and end by themselves: there is nothing to close.
      opening ??= openS3Client({ access, proxy: store.proxy, signal, mostTries, mostBytes });
      return opening;
    },
  };
  return {
    location: place.location,
    read: (path) => unlessAbsent(send(place, { method: "GET", path }, wholeOf)),
    size: (path) => unlessAbsent(send(place, { method: "HEAD", path }, sizeOf)),
    readRange: (path, start, end) => readRange(place, path, start, end),
    prepare: () => requireConditional(place),
    createOnce: (path, bytes) => createOnce(place, path, bytes),
    remove: (path) => send(place, { method: "DELETE", path }, () => {}),
    list: async (prefix) => (await listFolder(place, prefix)).filter((path) => !probeName.test(path)),
    sweep: async (folders) => (folders.includes("") ? sweepProbes(place) : 0),
  };
}

type PathRequest = Omit<S3Request, "bucket" | "key"> & { readonly path: string };

/** Throws STORAGE_*, where the object is absent as well. */
async function send<T>(place: Bucket, request: PathRequest, parse: (answer: S3Answer) => T): Promise<T> {
  const { path, ...rest } = request;
  const client = await place.client();
  try {
    return await client.send({ ...rest, bucket: place.bucket, key: `${place.base}${path}` }, parse);
  } catch (error) {
    throw storageFailure(place, path, error);
  }
}

async function createOnce(place: Bucket, path: string, body: Uint8Array): Promise<CreateOutcome> {
  const writer = randomBytes(16).toString("hex");
  const marks = { [writerHeader]: writer, [digestHeader]: sha256(body) };
  const headers = { "content-type": "application/octet-stream", "if-none-match": "*", ...marks };
  try {
    await send(place, { method: "PUT", path, headers, body }, () => {});
    return "created";
  } catch (error) {
    const { status, code } = causeOf(error);
    if (status === 501 || code === "NotImplemented") throw unconditional(place, `it answers status ${status}`, error);
    if (status !== 412) throw error;
    const found = await unlessAbsent(send(place, { method: "HEAD", path }, (answer) => textOf(answer, writerHeader)));
    return found === writer ? "created" : "exists";
  }
}

/** Several writers at once and one after them: one may be told that it wrote. Removes what they wrote. */
async function requireConditional(place: Bucket): Promise<void> {
  const path = `.labelmill-${randomBytes(8).toString("hex")}.tmp`;
  const write = (text: string) => createOnce(place, path, Buffer.from(text));
  const outcomes = await Promise.all(Array.from({ length: probeWriters }, (_, i) => write(`writer ${i}`)));
  outcomes.push(await write("a later writer"));
  await removeIfAllowed(place, path);
  const created = outcomes.filter((outcome) => outcome === "created").length;
  if (created > 1)
    throw unconditional(place, `of ${outcomes.length} writers ${created} were told that they were first`);
}

async function readRange(place: Bucket, path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  if (start === end) return new Uint8Array(0);
  const headers = { range: `bytes=${start}-${end - 1}` };
  return send(place, { method: "GET", path, headers }, ({ status, body }) => {
    // A store may answer with the whole.
    const bytes = status === 206 ? body : body.subarray(start, end);
    if (bytes.length !== end - start)
      throw new Error(`it gave ${bytes.length} bytes from ${start} on, not ${end - start}`);
    return Uint8Array.from(bytes);
  });
}

async function listFolder(place: Bucket, prefix: string): Promise<string[]> {
  const folder = `${place.base}${prefix}`;
  try {
    const { keys, prefixes } = await listLevel(await place.client(), { bucket: place.bucket, prefix: folder });
    // Some tools put an object under the name of the folder itself.
    const names = [...keys, ...prefixes].filter((key) => key !== folder);
    return names.map((key) => key.slice(place.base.length)).sort();
  } catch (error) {
    throw storageFailure(place, prefix, error);
  }
}

/** Nothing but a probe is ever left behind by a process that is killed, and that lies at the top. */
async function sweepProbes(place: Bucket): Promise<number> {
  let removed = 0;
  for (const path of await listFolder(place, "")) {
    if (probeName.test(path) && (await removeIfAllowed(place, path))) removed += 1;
  }
  return removed;
}

/** A probe does no harm where it lies: a run needs no right to delete. */
async function removeIfAllowed(place: Bucket, path: string): Promise<boolean> {
  try {
    await send(place, { method: "DELETE", path }, () => {});
    return true;
  } catch (error) {
    if (isCode(error, "STORAGE_DENIED")) return false;
    throw error;
  }
}

function wholeOf(answer: S3Answer): Uint8Array {
  const expected = textOf(answer, digestHeader);
  // An object that another tool has copied may have lost its marks.
  if (expected !== null && expected !== sha256(answer.body))
    throw new Error("its bytes are not those that were written");
  return answer.body;
}

function sizeOf(answer: S3Answer): number {
  const text = textOf(answer, "content-length") ?? "";
  if (!/^\d+$/.test(text)) throw new Error("it does not say how long the object is");
  return Number(text);
}

function textOf({ headers }: S3Answer, name: string): string | null {
  const value = headers[name];
  return typeof value === "string" ? value : null;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function unlessAbsent<T>(pending: Promise<T>): Promise<T | null> {
  try {
    return await pending;
  } catch (error) {
    if (causeOf(error).status === 404 && !isCode(error, "STORAGE_NO_BUCKET")) return null;
    throw error;
  }
}

/** What the store answered where `error` tells of it. */
function causeOf(error: unknown): Pick<S3Failure, "status" | "code"> {
  const cause = error instanceof LabelmillError ? error.cause : null;
  return cause instanceof S3Failure ? cause : { status: null, code: null };
}

/** Of other errors (an interrupt, a source of credentials that fails) these are already what the caller is to see. */
function storageFailure({ endpoint, bucket, location }: Bucket, path: string, error: unknown): unknown {
  if (!(error instanceof S3Failure)) return error;
  const { status, code, message } = error;
  const details = { path: `${location}/${path}`, reason: message };
  const failed = (name: "STORAGE_NO_BUCKET" | "STORAGE_FULL" | "STORAGE_DENIED" | "STORAGE_FAILED") =>
    new LabelmillError(name, { ...details, endpoint, bucket }, { cause: error });
  if (code === "NoSuchBucket") return failed("STORAGE_NO_BUCKET");
  if (status === 507 || fullCodes.has(code ?? "")) return failed("STORAGE_FULL");
  const isDenied = status === 401 || status === 403 || ofCredentials.has(code ?? "");
  return failed(isDenied ? "STORAGE_DENIED" : "STORAGE_FAILED");
}

function unconditional({ endpoint }: Bucket, reason: string, cause?: unknown): LabelmillError {
  return new LabelmillError("STORAGE_UNCONDITIONAL", { endpoint, reason }, { cause });
}
