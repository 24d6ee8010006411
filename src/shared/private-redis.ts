/**
 * A redis-server (or valkey-server) of our own, for a `run` without a Redis URL. It listens on a socket in a directory
 * that only this user may enter, never evicts, and keeps an append-only file, so that
 * it can be started again in the middle of a run. It is tied to us by a pipe: a shell beside it reads its stdin and ends the server at end of file, so it goes
 * when we go, even by kill -9. A server that is alive already is attached to, never replaced.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { access, chmod, constants, mkdir, readFile, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LabelmillError } from "./errors.js";
import { openRedis, type Redis } from "./redis.js";

export interface PrivateRedisSettings {
  readonly runId: string;
  /** Holds one directory a run, with the append-only file and the server's log. */
  readonly stateDir: string;
  /** Holds the sockets. Short, since a socket's path may have 108 bytes at most (unix(7)). */
  readonly socketDir: string;
  /** The `PATH` in which the server program is looked for. */
  readonly searchPath: string;
}

export interface PrivateRedis {
  readonly url: string;
  readonly redis: Redis;
  /** False where another command's server was found alive. */
  readonly started: boolean;
  /** Rejects with REDIS_SERVER_FAILED if the server ends before `close`. Never resolves. */
  readonly lost: Promise<never>;
  /** Ends the server if we started it; `discard` also removes what it kept. */
  close(options: { discard: boolean }): Promise<void>;
}

const startTimeoutMs = 10_000;
const retryMs = 20;
const serverPrograms = ["redis-server", "valkey-server"] as const;

/**
 * `flock` (util-linux) makes the start exclusive: the lock lives as long as the server does. A new server starts empty:
 * whatever an earlier one kept are locks and counts of processes that are gone, and the dataset knows better.
 */
const wrapper = `
exec 9>"$1/lock"
if command -v flock >/dev/null; then flock -n 9 || exit 75; fi
echo locked
rm -rf "$1/appendonlydir"; shift
"$@" </dev/null >/dev/null & server=$!
( cat >/dev/null; kill "$server" 2>/dev/null ) 9>&- <&3 &
reader=$!
wait "$server"; status=$?
kill "$reader" 2>/dev/null
exit "$status"
`;

/** Starts the run's private server or attaches to it. Throws REDIS_SERVER_MISSING or REDIS_SERVER_FAILED. */
export async function openPrivateRedis(settings: PrivateRedisSettings): Promise<PrivateRedis> {
  const dataDir = join(settings.stateDir, settings.runId);
  const socket = join(settings.socketDir, `${settings.runId}.sock`);
  await mkdir(settings.socketDir, { recursive: true, mode: 0o700 });
  await chmod(settings.socketDir, 0o700);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const program = await findServer(settings.searchPath);
  const deadlineMs = Date.now() + startTimeoutMs;
  // The lock may be held by a server that is coming up, or by one that is going down with its owner: look again.
  while (Date.now() < deadlineMs) {
    const running = await attach(socket);
    if (running !== null) return connected(socket, running, null);
    const server = spawnServer(program, dataDir, socket);
    if (await holdsLock(server)) {
      const redis = await waitForServer({ server, socket, dataDir, deadlineMs });
      return connected(socket, redis, { server, dataDir });
    }
    await sleep(retryMs);
  }
  throw new LabelmillError("REDIS_SERVER_FAILED", { reason: `another process holds ${dataDir}, but its server does not answer` });
}

/** `own` is null where the server is another command's. */
function connected(url: string, redis: Redis, own: { server: ChildProcess; dataDir: string } | null): PrivateRedis {
  let isClosing = false;
  const lost = new Promise<never>((_, reject) => {
    redis.once("close", () => {
      if (isClosing) return;
      // On a socket, only the server's end closes the connection. Commands would wait for its return for ever.
      redis.disconnect();
      reject(new LabelmillError("REDIS_SERVER_FAILED", { reason: "it ended in the middle of the run" }));
    });
  });
  // Awaited by the caller, perhaps later than it rejects.
  lost.catch(() => {});
  return {
    url,
    redis,
    started: own !== null,
    lost,
    async close({ discard }) {
      isClosing = true;
      redis.disconnect();
      if (own === null) return;
      await stopServer(own.server);
      if (discard) await rm(own.dataDir, { recursive: true, force: true });
    },
  };
}

/** The first server program on `searchPath`. Throws REDIS_SERVER_MISSING. */
export async function findServer(searchPath: string): Promise<string> {
  for (const program of serverPrograms) {
    for (const dir of searchPath.split(delimiter).filter((dir) => dir !== "")) {
      const path = join(dir, program);
      if (await access(path, constants.X_OK).then(() => true, () => false)) return path;
    }
  }
  throw new LabelmillError("REDIS_SERVER_MISSING");
}

function spawnServer(program: string, dataDir: string, socket: string): ChildProcess {
  const settings = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dataDir];
  const safety = ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"];
  const log = ["--logfile", join(dataDir, "redis.log")];
  const args = ["-c", wrapper, "labelmill-redis", dataDir, program, ...settings, ...safety, ...log];
  // Detached: Ctrl-C reaches the foreground process group, and the server must outlive our drain. Descriptor 3 is the
  // pipe that ties it to us; a shell's background job has its stdin replaced, so stdin itself would not do.
  const server = spawn("/bin/sh", args, { stdio: ["ignore", "pipe", "ignore", "pipe"], detached: true });
  server.unref();
  server.once("exit", () => closeTie(server));
  return server;
}

/** Whether the wrapper got the lock; where it did not, it ends. Before this nobody knows whose server answers. */
function holdsLock(server: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    server.once("exit", () => resolve(false));
    server.stdout?.once("data", () => {
      server.stdout?.destroy();
      resolve(true);
    });
  });
}

async function attach(socket: string): Promise<Redis | null> {
  try {
    return await openRedis(socket);
  } catch (error) {
    if (error instanceof LabelmillError && error.code === "REDIS_REFUSED") return null;
    throw error;
  }
}

interface StartingServer {
  readonly server: ChildProcess;
  readonly socket: string;
  readonly dataDir: string;
  readonly deadlineMs: number;
}

async function waitForServer({ server, socket, dataDir, deadlineMs }: StartingServer): Promise<Redis> {
  while (Date.now() < deadlineMs && server.exitCode === null) {
    const redis = await attach(socket);
    if (redis !== null) return redis;
    await sleep(retryMs);
  }
  await stopServer(server);
  const log = await readFile(join(dataDir, "redis.log"), "utf8").catch(() => "it wrote no log");
  throw new LabelmillError("REDIS_SERVER_FAILED", { reason: log.trim().split("\n").slice(-3).join("; ") });
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.ref();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  closeTie(server);
  await ended;
}

function closeTie(server: ChildProcess): void {
  server.stdio[3]?.destroy();
}
