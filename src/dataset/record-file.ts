import type { z } from "zod";
import { LabelmillError, messageOf } from "../shared/errors.js";
import type { Storage } from "./storage/storage.js";

/** Reads the JSON file `path` and checks its shape; null where there is none. Throws `RUN_DATASET_CORRUPT`. */
export async function readRecord<T>(storage: Storage, path: string, schema: z.ZodType<T>): Promise<T | null> {
  const bytes = await storage.read(path);
  return bytes === null ? null : parseRecord(storage, path, bytes, schema);
}

/** Writes `value` as the JSON file `path` unless that exists; returns what the file holds afterwards, ours or not. */
export async function createRecord<T>(storage: Storage, path: string, schema: z.ZodType<T>, value: T): Promise<T> {
  const bytes = encodeRecord(value);
  if ((await storage.createOnce(path, bytes)) === "created") return parseRecord(storage, path, bytes, schema);
  const stored = await readRecord(storage, path, schema);
  if (stored === null) throw corrupt(storage, path, "it vanished while it was read");
  return stored;
}

/** JSON for people as well: indented, and ended by a newline. */
export function encodeRecord(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`, "utf8");
}

/** Throws nothing itself: the error for a file of the dataset that is not what it should be. */
export function corrupt(storage: Storage, path: string, reason: string, cause?: unknown): LabelmillError {
  return new LabelmillError("RUN_DATASET_CORRUPT", { path: `${storage.location}/${path}`, reason }, { cause });
}

/** Where and why a shape was refused, on one line. */
export function describeIssues(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join(".") || "the whole"}: ${issue.message}`).join("; ");
}

function parseRecord<T>(storage: Storage, path: string, bytes: Uint8Array, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw corrupt(storage, path, `not JSON: ${messageOf(error)}`, error);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw corrupt(storage, path, describeIssues(parsed.error), parsed.error);
  return parsed.data;
}
