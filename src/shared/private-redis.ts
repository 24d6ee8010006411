/**
 * A redis-server (or valkey-server) of our own, for a `run` without a Redis URL. It listens on a socket in a directory
 * that only this user may enter, never evicts, and keeps an append-only file. Beside it runs a shell, tied to us by a pipe:
 * at its end of file, which comes however we end, even by kill -9, the shell ends the server; a server that ends by itself
 * it starts again from the append-only file. A server that is alive already is attached to, never replaced.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { access, chmod, constants, mkdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isCode, LabelmillError, messageOf } from "./errors.js";
import { closeRedis, openRedis, type Redis } from "./redis.js";
import { forgetServer, registerServer } from "./server-registry.js";

export interface PrivateRedisSettings {
  readonly runId: string;
  /** Location of the run's dataset, for the registry. */
  readonly out: string;
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
  /** Rejects with REDIS_SERVER_FAILED if the server ends before `close` and does not come back. Never resolves. */
  readonly lost: Promise<never>;
  /** Ends the server if we started it; `discard` also removes what it kept, and that it was there. */
  close(options: { discard: boolean }): Promise<void>;
}

const startTimeoutMs = 10_000;
const retryMs = 20;
const restartTimeoutMs = 5_000;
const serverPrograms = ["redis-server", "valkey-server"] as const;

/**
 * `flock` (util-linux) makes the start exclusive: the lock lives as long as the shell or the server does. The first server
 * starts empty: whatever an earlier command's kept are locks and counts of processes that are gone, and the dataset knows
 * better. Five ends within one command are no accident, and the shell gives up.
 */
const keeper = `
state="$1"; shift
exec 9>"$state/lock"
if command -v flock >/dev/null; then flock -n 9 || exit 75; fi
echo locked
rm -rf "$state/appendonlydir"
stopping=
trap 'stopping=1; kill "$server"; kill -CONT "$server"; wait "$server"' TERM
( cat >/dev/null; kill -TERM $$ || kill $(cat "$state/pid") ) <&3 9>&- &
ends=0
while [ -z "$stopping" ] && [ "$ends" -lt 5 ]; do
  "$@" </dev/null >/dev/null & server=$!
  # The trap may have run before it knew this server, which nobody would end then.
  [ -z "$stopping" ] || kill "$server"
  wait "$server"
  ends=$((ends + 1))
done
`;

/** Starts the run's private server or attaches to it. Throws REDIS_SERVER_MISSING or REDIS_SERVER_FAILED. */
export async function openPrivateRedis(settings: PrivateRedisSettings): Promise<PrivateRedis> {
  const dataDir = join(settings.stateDir, settings.runId);
  const socket = join(settings.socketDir, `${settings.runId}.sock`);
  await mkdir(settings.socketDir, { recursive: true, mode: 0o700 });
  await chmod(settings.socketDir, 0o700);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const program = await findServer(settings.searchPath);
  const deadlineMs = performance.now() + startTimeoutMs;
  // The lock may be held by a server that is coming up, or by one that is going down with its owner: look again.
  while (performance.now() < deadlineMs) {
    const running = await attach(socket);
    if (running !== null) return connected(socket, running, null);
    const server = spawnServer(program, dataDir, socket);
    if (await holdsLock(server)) {
      const redis = await waitForServer({ server, socket, dataDir, deadlineMs });
      const opened = connected(socket, redis, { server, dataDir });
      const { runId, out } = settings;
      const entry = { runId, url: socket, out, startedAt: new Date().toISOString() };
      await registerServer(dataDir, entry).catch(async (cause: unknown) => {
        await opened.close({ discard: false });
        throw new LabelmillError("REDIS_SERVER_FAILED", { reason: messageOf(cause) }, { cause });
      });
      return opened;
    }
    await sleep(retryMs);
  }
  throw new LabelmillError("REDIS_SERVER_FAILED", {
    reason: `another process holds ${dataDir}, but its server does not answer`,
  });
}

/** `own` is null where the server is another command's. */
function connected(url: string, redis: Redis, own: { server: ChildProcess; dataDir: string } | null): PrivateRedis {
  let isClosing = false;
  let isAway = false;
  const lost = new Promise<never>((_, reject) => {
    redis.on("close", () => {
      // Each failed attempt to connect closes again.
      if (isAway || isClosing) return;
      isAway = true;
      void hasReturned(redis, own?.server ?? null).then((isBack) => {
        isAway = false;
        if (isBack || isClosing) return;
        // Commands would wait for its return for ever.
        closeRedis(redis);
        const whose = own === null ? "the command that it belonged to has ended" : "it ended again and again";
        reject(new LabelmillError("REDIS_SERVER_FAILED", { reason: `${whose}; repeat the same command to go on` }));
      });
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
      closeRedis(redis);
      if (own === null) return;
      await stopServer(own.server);
      if (discard) await forgetServer(own.dataDir);
    },
  };
}

/**
 * Whether the server answers again. Our own comes back as long as the shell beside it is there, which starts it again; of
 * another command's nothing is known, so it has a few seconds.
 */
function hasReturned(redis: Redis, ownShell: ChildProcess | null): Promise<boolean> {
  // Not events.once, which would reject at each failed attempt to connect.
  return new Promise((resolve) => {
    const settle = (isBack: boolean) => {
      clearTimeout(timer);
      redis.off("ready", onReady);
      ownShell?.off("exit", onExit);
      resolve(isBack);
    };
    const onReady = () => settle(true);
    const onExit = () => settle(false);
    const timer = ownShell === null ? setTimeout(onExit, restartTimeoutMs) : undefined;
    redis.once("ready", onReady);
    ownShell?.once("exit", onExit);
    if (ownShell !== null && hasEnded(ownShell)) onExit();
  });
}

/** The first server program on `searchPath`. Throws REDIS_SERVER_MISSING. */
export async function findServer(searchPath: string): Promise<string> {
  for (const program of serverPrograms) {
    for (const dir of searchPath.split(delimiter).filter((dir) => dir !== "")) {
      const path = join(dir, program);
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return path;
    }
  }
  throw new LabelmillError("REDIS_SERVER_MISSING");
}

function spawnServer(program: string, dataDir: string, socket: string): ChildProcess {
  const settings = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dataDir];
  const safety = ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"];
  const files = ["--logfile", join(dataDir, "redis.log"), "--pidfile", join(dataDir, "pid")];
  const args = ["-c", keeper, "labelmill-redis", dataDir, program, ...settings, ...safety, ...files];
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
    if (isCode(error, "REDIS_REFUSED")) return null;
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
  while (performance.now() < deadlineMs && server.exitCode === null) {
    const redis = await attach(socket);
    if (redis !== null) return redis;
    await sleep(retryMs);
  }
  await stopServer(server);
  const log = await readFile(join(dataDir, "redis.log"), "utf8").catch(() => "it wrote no log");
  throw new LabelmillError("REDIS_SERVER_FAILED", { reason: log.trim().split("\n").slice(-3).join("; ") });
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (hasEnded(server)) return;
  server.ref();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  closeTie(server);
  await ended;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function closeTie(server: ChildProcess): void {
  server.stdio[3]?.destroy();
}
