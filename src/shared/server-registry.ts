/**
 * Which private servers run on this machine: a file beside each server's data says whose it is, so that other commands of
 * this user find it. The file of a command that was killed may stay; only a server that answers counts.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isCode, systemCode } from "./errors.js";
import { openRedis } from "./redis.js";

const entrySchema = z.object({
  runId: z.string(),
  /** Path of its socket. */
  url: z.string(),
  /** Location of the run's dataset. */
  out: z.string(),
  startedAt: z.string(),
});

/** A private server, as its own command registered it. */
export type RegisteredServer = Readonly<z.infer<typeof entrySchema>>;

const fileName = "server.json";

/** Registers the server whose data lie in `dataDir`, in place of an earlier entry. */
export async function registerServer(dataDir: string, server: RegisteredServer): Promise<void> {
  await writeFile(join(dataDir, fileName), `${JSON.stringify(server, null, 2)}\n`);
}

export async function unregisterServer(dataDir: string): Promise<void> {
  await rm(join(dataDir, fileName), { force: true });
}

/** The registered servers below `stateDir` that answer, oldest first. */
export async function listServers(stateDir: string): Promise<RegisteredServer[]> {
  const found: RegisteredServer[] = [];
  for (const runId of await unlessAbsent(readdir(stateDir), [])) {
    const text = await unlessAbsent(readFile(join(stateDir, runId, fileName), "utf8"), null);
    const entry = text === null ? null : parseEntry(text);
    if (entry !== null && (await answers(entry.url))) found.push(entry);
  }
  return found.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
}

/** Null for a file that a killed command has written half. */
function parseEntry(text: string): RegisteredServer | null {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    (await openRedis(url)).disconnect();
    return true;
  } catch (error) {
    if (isCode(error, "REDIS_REFUSED")) return false;
    throw error;
  }
}

async function unlessAbsent<T, U>(pending: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await pending;
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return otherwise;
    throw error;
  }
}
