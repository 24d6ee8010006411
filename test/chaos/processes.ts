/** Processes and servers of a chaos round. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openRedis, type Redis } from "../../src/shared/redis.js";
import { type CliResult, type RunningCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { isAlive } from "../support/processes.js";
import { projectRoot } from "../support/shared-data.js";
import { type Act, type Passage, type Plan, planVariable, readLog } from "./plan.js";

const hooks = fileURLToPath(new URL("./hooks.js", import.meta.url));
export const execute = promisify(execFile);

/** A place for one round: a source, an output, an attempt log. */
export interface Place {
  readonly dir: string;
  readonly source: string;
  readonly out: string;
  readonly log: string;
  readonly items: number;
}

const photoOf = (i: number): string => photos[i % photos.length] ?? "";
/** Path of item `i` of a place. */
export const itemPath = (source: string, i: number): string =>
  join(source, `${String(i).padStart(4, "0")}${extname(photoOf(i))}`);
const photos = ["rocket.jpg", "camera.png", "chelsea.png", "coffee.png"];

/** A directory with `items` photos below `dir`, no two with the same bytes, so that each has its turn at the model. */
export async function preparePlace(dir: string, items: number): Promise<Place> {
  const source = join(dir, "source");
  await mkdir(source, { recursive: true });
  for (let i = 0; i < items; i += 1) {
    await copyDistinct(join(projectRoot, "examples/photos", photoOf(i)), itemPath(source, i), i);
  }
  return { dir, source, out: join(dir, "out"), log: join(dir, "attempts.jsonl"), items };
}

/** Starts a command whose steps are logged, and which meets the fate of `acts`. */
export function startHooked(
  place: Place,
  args: readonly string[],
  acts: readonly Act[],
  childEntry?: string,
): RunningCli {
  const plan: Plan = { log: place.log, acts, ...(childEntry !== undefined && { childEntry }) };
  return startCli(args, { preload: hooks, env: { [planVariable]: JSON.stringify(plan), XDG_STATE_HOME: place.dir } });
}

/** Arguments that every round's run has. */
export const runOptions = (place: Place): string[] => ["--out", place.out, "--chunk-size", "8"];
export const workOptions = ["--lock-ms", "2000"];

/** Resolves with the log once `isReached` says so; rejects when `processes` are all gone before. */
export async function reached(
  place: Place,
  isReached: (passages: readonly Passage[]) => boolean,
  running: RunningCli,
): Promise<readonly Passage[]> {
  while (true) {
    const hasEnded = running.process.exitCode !== null || running.process.signalCode !== null;
    const passages = await readLog(place.log);
    if (isReached(passages) || hasEnded) return passages;
    await sleep(20);
  }
}

/** Whether a command was ended by the plan. */
export const wasKilled = ({ code }: CliResult): boolean => code === null;

/** Asserts that none of `pids` is alive after three seconds at most. */
export async function allGone(pids: readonly number[]): Promise<void> {
  const deadlineMs = Date.now() + 3_000;
  while (pids.some(isAlive)) {
    if (Date.now() > deadlineMs) throw new Error(`still alive after 3 s: ${pids.filter(isAlive).join(", ")}`);
    await sleep(50);
  }
}

/** A Redis that the harness ends and starts again as it likes; its data survive in an append-only file. */
export interface MortalRedis {
  readonly url: string;
  /** Ends it with SIGKILL and starts it again after `awayMs`. */
  bounce(awayMs: number): Promise<void>;
  /** Calls `action` with a connection of its own. */
  use<T>(action: (redis: Redis) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export async function startMortalRedis(dir: string): Promise<MortalRedis> {
  const socket = join(dir, "redis.sock");
  const start = async (): Promise<ChildProcess> => {
    const args = ["--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes", "--save", ""];
    const server = spawn("redis-server", args, { stdio: "ignore" });
    while (!(await execute("redis-cli", ["-s", socket, "ping"]).catch(() => null))?.stdout.includes("PONG"))
      await sleep(20);
    return server;
  };
  const end = async (): Promise<void> => {
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGKILL");
    await ended;
  };
  let server = await start();
  return {
    url: socket,
    async bounce(awayMs) {
      await end();
      await sleep(awayMs);
      server = await start();
    },
    async use(action) {
      const redis = await openRedis(socket);
      try {
        return await action(redis);
      } finally {
        redis.disconnect();
      }
    },
    close: end,
  };
}
