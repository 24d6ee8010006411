/**
 * A real Postgres for one test file: a cluster of its own in a temporary directory, on a port of the loopback interface,
 * with passwords. Ended by its process id.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";

export const postgresPassword = "canary/pass:word@1";

export interface TestPostgres {
  /** With the password. */
  readonly url: string;
  readonly urlWithoutPassword: string;
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** `SIGINT`: connections are cut, and the server ends; `SIGKILL`: as a crash. */
  stop(signal?: "SIGINT" | "SIGKILL"): Promise<void>;
  /** Does nothing where it is running. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** The directory of `initdb` and `postgres`, or null where there is none. */
export async function findPostgres(): Promise<string | null> {
  const root = "/usr/lib/postgresql";
  const versions = await readdir(root).catch((): string[] => []);
  const places = [...(process.env.PATH ?? "").split(delimiter), ...versions.map((v) => join(root, v, "bin"))];
  for (const place of places) {
    const names = await readdir(place).catch((): string[] => []);
    if (names.includes("initdb") && names.includes("postgres")) return place;
  }
  return null;
}

export async function startTestPostgres(binaries: string): Promise<TestPostgres> {
  const directory = await mkdtemp(join(tmpdir(), "lm-pg-"));
  const data = join(directory, "data");
  // The server refuses to be run by root.
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const passwordFile = join(directory, "password");
  await writeFile(passwordFile, postgresPassword);
  if (user.uid !== undefined) for (const path of [directory, passwordFile]) await chown(path, user.uid, user.gid);
  const init = [
    "-D",
    data,
    "-U",
    "tester",
    "-A",
    "scram-sha-256",
    "--pwfile",
    passwordFile,
    "-E",
    "UTF8",
    "--locale=C",
  ];
  await promisify(execFile)(join(binaries, "initdb"), [...init, "--no-sync"], { ...user, cwd: directory });
  const port = await freePort();
  const place = `127.0.0.1:${port}/postgres`;
  const url = `postgres://tester:${encodeURIComponent(postgresPassword)}@${place}`;
  let server: ChildProcess | null = null;
  const start = async () => {
    if (server !== null) return;
    const args = ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"];
    server = spawn(join(binaries, "postgres"), args, { ...user, cwd: directory, stdio: "ignore" });
    await untilItAnswers(url);
  };
  const stop = async (signal: "SIGINT" | "SIGKILL" = "SIGINT") => {
    if (server === null) return;
    const ended = once(server, "exit");
    server.kill(signal);
    await ended;
    server = null;
  };
  await start();
  return {
    url,
    urlWithoutPassword: `postgres://tester@${place}`,
    start,
    stop,
    query: (text, values) => queryOnce(url, text, values),
    async close() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function queryOnce(url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

async function untilItAnswers(url: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await queryOnce(url, "SELECT 1");
      return;
    } catch (error) {
      if (attempt > 600) throw error;
      await sleep(100);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
