/**
 * Which private servers run on this machine, or ran: a file beside each server's data says whose it is, so that other
 * commands of this user find it. It stays where a command ends before its run does, so that `runs` can tell of it; only a
 * server that answers counts as running. A private server starts empty, so what a user wants of a run is noted here as well.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isCode, systemCode } from "./errors.js";
import { openRedis, type Redis } from "./redis.js";

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
const wishName = "wish";

/** What a user has told a run with a private server to be; it outlives the server. */
export type RunWish = "paused" | "cancelled";

/** Registers the server whose data lie in `dataDir`, in place of an earlier entry. */
export async function registerServer(dataDir: string, server: RegisteredServer): Promise<void> {
  await writeFile(join(dataDir, fileName), `${JSON.stringify(server, null, 2)}\n`);
}

/** Removes what is kept of the run: the registration, the wish and the server's data. */
export async function forgetServer(dataDir: string): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
}

/** Notes the wish in place of an earlier one; null for none. */
export async function writeWish(dataDir: string, wish: RunWish | null): Promise<void> {
  const path = join(dataDir, wishName);
  if (wish === null) await rm(path, { force: true });
  else await writeFile(path, wish);
}

export async function readWish(dataDir: string): Promise<RunWish | null> {
  const text = await unlessAbsent(readFile(join(dataDir, wishName), "utf8"), null);
  return text === "paused" || text === "cancelled" ? text : null;
}

/** Everything that is registered below `stateDir`, oldest first, whether or not its server runs. */
export async function listRegistered(stateDir: string): Promise<RegisteredServer[]> {
  const found: RegisteredServer[] = [];
  for (const runId of await unlessAbsent(readdir(stateDir), [])) {
    const text = await unlessAbsent(readFile(join(stateDir, runId, fileName), "utf8"), null);
    const entry = text === null ? null : parseEntry(text);
    if (entry !== null) found.push(entry);
  }
  return found.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
}

/** The registered servers below `stateDir` that answer, oldest first. */
export async function listServers(stateDir: string): Promise<RegisteredServer[]> {
  const running: RegisteredServer[] = [];
  for (const entry of await listRegistered(stateDir)) {
    const redis = await openServer(entry);
    if (redis !== null) running.push(entry);
    redis?.disconnect();
  }
  return running;
}

/** A connection to the server, or null where it does not answer. */
export async function openServer({ url }: RegisteredServer): Promise<Redis | null> {
  try {
    return await openRedis(url);
  } catch (error) {
    if (isCode(error, "REDIS_REFUSED")) return null;
    throw error;
  }
}

/** Null for a file that a killed command has written half. */
function parseEntry(text: string): RegisteredServer | null {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch {
    return null;
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
