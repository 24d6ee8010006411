/**
 * The rounds of chaos: each does one run through one kind of misfortune, and says what it did to it. What must hold
 * afterwards is the judge's to say; a round itself asserts only what belongs to its misfortune.
 */
import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningCli } from "../support/cli.js";
import { descendantsOf } from "../support/processes.js";
import {
  type Act,
  finishSteps,
  type Happening,
  type Passage,
  type Point,
  producerSteps,
  readLog,
  type Step,
  workerSteps,
} from "./plan.js";
import { runWithPoison } from "./poison.js";
import {
  allGone,
  execute,
  type MortalRedis,
  type Place,
  reached,
  runOptions,
  startHooked,
  startMortalRedis,
  wasKilled,
  workOptions,
} from "./processes.js";
import type { Random } from "./random.js";

/** Does the run in `place` to its end. */
type Round = (place: Place, random: Random) => Promise<Happening>;

/** A point of the way, and how often a process will pass it at least where `share` of the run's chunks fall to it. */
function somePoint(random: Random, steps: readonly Step[], place: Place, share = 1): { point: Point; nth: number } {
  const step = random.pick(steps);
  const chunks = Math.ceil(place.items / 8);
  const once: readonly Step[] = ["summary", "complete", "register", "sealed", "seal", "enqueue", "renew"];
  const often = step === "predict" ? place.items / 3 : step === "segment" || step === "grow" ? 3 : chunks;
  const most = once.includes(step) ? 1 : Math.max(1, Math.floor(often * share));
  // Taking has no "before" that is told apart: most takes find nothing.
  const when = step === "take" ? "after" : random.pick(["before", "after"] as const);
  return { point: `${step}:${when}`, nth: random.integer(1, most) };
}

const describe = ({ what, point, nth }: Act): string => `${what} at ${point} #${nth}`;

async function complete(running: RunningCli): Promise<void> {
  const { code, stderr } = await running.result;
  assert.equal(code, 0, stderr);
}

const isTaken = (passages: readonly Passage[]): boolean => passages.some(({ point }) => point === "take:after");
const committed = (passages: readonly Passage[]): number =>
  passages.filter(({ point }) => point === "link:after").length;

/** The compute child is killed, three times, over images that it has been given. */
const child: Round = async (place, random) => {
  const acts = [1, 2, 3].map(
    (): Act => ({ point: "predict:before", nth: random.integer(1, place.items), what: "kill-child" }),
  );
  await complete(startHooked(place, ["run", place.source, ...runOptions(place)], acts));
  return { told: acts.map(describe).join(", ") };
};

/** Two workers of one queue; one is killed at a point of its way, and another is started in its place. */
const consumer: Round = async (place, random) => {
  const isLate = random.integer(1, 8) === 1;
  const act: Act = { ...somePoint(random, isLate ? finishSteps : workerSteps, place, 0.35), what: "kill" };
  return withWorkers(place, isLate ? [[act], [act]] : [[act], []], async () => {
    return { told: `${describe(act)}${await describeTakeover(place)}` };
  });
};

/** Two workers of one queue; one is halted for longer than its locks live, and then goes on. */
const stop: Round = async (place, random) => {
  const act: Act = { ...somePoint(random, workerSteps, place, 0.35), what: "stop" };
  const goOn = async (workers: readonly RunningCli[]): Promise<void> => {
    // The other worker may do so much that the point is never passed as often.
    const isOver = ({ acted, point }: Passage) => acted === "stop" || point === "complete:after";
    const passages = await reached(place, (log) => log.some(isOver), workers[0] as RunningCli);
    const stopped = passages.find(({ acted }) => acted === "stop");
    if (stopped === undefined) return;
    await sleep(5_000);
    process.kill(stopped.pid, "SIGCONT");
  };
  return withWorkers(place, [[act], []], async () => ({ told: describe(act) }), goOn);
};

/** Redis is killed with -9: a run's private one, or one that is started again after up to five seconds. */
const redis: Round = async (place, random) => {
  const after = random.integer(0, Math.floor(place.items / 8) - 2);
  const isDue = (passages: readonly Passage[]): boolean => isTaken(passages) && committed(passages) >= after;
  if (random.integer(0, 1) === 0) {
    const running = startHooked(place, ["run", place.source, ...runOptions(place), ...workOptions], []);
    await reached(place, isDue, running);
    await sleep(random.integer(0, 300));
    for (const pid of await descendantsOf(running.process.pid ?? 0).catch(() => [])) {
      const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (name.startsWith("redis-server")) process.kill(pid, "SIGKILL");
    }
    await complete(running);
    return { told: `the private Redis killed after ${after} parts` };
  }
  return withRedis(place, async (server) => {
    const running = startHooked(
      place,
      ["run", place.source, ...runOptions(place), ...workOptions, "--redis-url", server.url],
      [],
    );
    await reached(place, isDue, running);
    const awayMs = random.integer(100, 5_000);
    await sleep(random.integer(0, 300));
    await server.bounce(awayMs);
    await complete(running);
    return { told: `Redis killed after ${after} parts and away for ${awayMs} ms` };
  });
};

/** Redis loses all its data; the command says so, and is repeated. */
const wipe: Round = (place, random) =>
  withRedis(place, async (server) => {
    const after = random.integer(0, Math.floor(place.items / 8) - 3);
    const args = ["run", place.source, ...runOptions(place), ...workOptions, "--redis-url", server.url];
    const running = startHooked(place, args, []);
    await reached(place, (passages) => isTaken(passages) && committed(passages) >= after, running);
    await server.use((connection) => connection.flushall());
    const { code, stderr } = await running.result;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /repeat the same command to go on.*\[RUN_RECORD_LOST\]/);
    await keepingParts(place, () => complete(startHooked(place, args, [])));
    return { told: `all data removed after ${after} parts` };
  });

/** The whole run is killed at one or two points of its way; its children go with it, and the command is repeated. */
const tree: Round = async (place, random) => {
  const args = ["run", place.source, ...runOptions(place), ...workOptions];
  const told: string[] = [];
  for (let kills = random.integer(1, 2); kills > 0; kills -= 1) {
    const steps = random.pick([producerSteps, workerSteps, workerSteps, finishSteps]);
    const act: Act = { ...somePoint(random, steps, place, 0.5), what: "kill" };
    const running = startHooked(place, args, [act]);
    const pids = watchDescendants(running);
    const result = await keepingParts(place, () => running.result);
    assert.ok(wasKilled(result) || result.code === 0, result.stderr);
    await allGone([...pids]);
    told.push(wasKilled(result) ? describe(act) : `${describe(act)} (not reached)`);
  }
  await keepingParts(place, () => complete(startHooked(place, args, [])));
  return { told: told.join(", then ") };
};

/** The disk of the dataset is filled up in the middle, and freed seconds later. */
const disk: Round = async (place, random) => {
  const small: Place = { ...place, out: join(place.dir, "disk/out") };
  const mount = join(place.dir, "disk");
  const ballast = join(mount, "ballast");
  await execute("mkdir", [mount]);
  await execute("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", mount]);
  try {
    const after = random.integer(0, Math.floor(place.items / 8) - 3);
    const running = startHooked(small, ["run", place.source, ...runOptions(small), ...workOptions], []);
    await reached(place, (passages) => isTaken(passages) && committed(passages) >= after, running);
    await execute("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"]).catch(() => "it ends when the disk is full");
    await running.said(/waiting: No space left to write/);
    await sleep(random.integer(500, 4_000));
    await keepingParts(small, async () => {
      await execute("rm", [ballast]);
      await complete(running);
    });
    await execute("cp", ["-r", small.out, place.out]);
    return { told: `no space after ${after} parts` };
  } finally {
    await execute("umount", [mount]);
  }
};

/** Up to five images crash the compute child. */
const poison: Round = (place, random) => runWithPoison(place, random, { crashing: random.integer(1, 5), hanging: 0 });

/** The decode of one image never ends. */
const hang: Round = (place, random) => runWithPoison(place, random, { crashing: 0, hanging: 1 });

export const rounds = { child, consumer, stop, redis, wipe, tree, disk, poison, hang } as const satisfies Record<
  string,
  Round
>;
export type Kind = keyof typeof rounds;

async function withRedis<T>(place: Place, action: (server: MortalRedis) => Promise<T>): Promise<T> {
  const server = await startMortalRedis(place.dir);
  try {
    return await action(server);
  } finally {
    await server.close();
  }
}

/** Enqueues, starts a worker for each list of acts, replaces those that are killed, and ends them when the run is complete. */
function withWorkers(
  place: Place,
  plans: readonly (readonly Act[])[],
  tell: () => Promise<Happening>,
  meanwhile: (workers: readonly RunningCli[]) => Promise<void> = async () => {},
): Promise<Happening> {
  return withRedis(place, async ({ url }) => {
    await complete(startHooked(place, ["enqueue", place.source, ...runOptions(place), "--redis-url", url], []));
    const startWorker = (acts: readonly Act[]): RunningCli =>
      startHooked(place, ["work", "--redis-url", url, "--allow-root", place.source, ...workOptions], acts);
    const workers = plans.map(startWorker);
    const others = meanwhile(workers);
    while (!(await readLog(place.log)).some(({ point }) => point === "complete:after")) {
      workers.forEach((worker, i) => {
        if (worker.process.signalCode !== null) workers[i] = startWorker([]);
        else assert.equal(worker.process.exitCode, null, worker.stderr());
      });
      await sleep(50);
    }
    await others;
    for (const worker of workers) worker.process.kill("SIGTERM");
    for (const worker of workers) {
      const { code, stderr } = await worker.result;
      assert.ok(code === 0 || code === null, stderr);
    }
    return tell();
  });
}

/** How long the chunks of a killed worker lay until another took them. */
async function describeTakeover({ log }: Place): Promise<string> {
  const passages = await readLog(log);
  const death = passages.find(({ acted }) => acted === "kill");
  if (death === undefined) return " (not reached)";
  const held = new Set(
    passages.filter(({ pid, point }) => pid === death.pid && point === "take:after").map(({ of }) => of),
  );
  const again = passages.filter(
    ({ pid, point, of, atMs }) => pid !== death.pid && point === "take:after" && held.has(of) && atMs >= death.atMs,
  );
  return again.length === 0 ? "" : `, taken over after ${again.map(({ atMs }) => atMs - death.atMs).join(" and ")} ms`;
}

/** Asserts that `action` leaves every part that is there as it is. */
async function keepingParts<T>(place: Place, action: () => Promise<T>): Promise<T> {
  const times = async (): Promise<Map<string, number>> => {
    const names = await readdir(join(place.out, "parts")).catch(() => []);
    const parts = names.filter((name) => name.startsWith("part-"));
    return new Map(await Promise.all(parts.map(async (name) => [name, await writtenAt(place, name)] as const)));
  };
  const before = await times();
  const result = await action();
  const after = await times();
  for (const [name, ms] of before) assert.equal(after.get(name), ms, `${name} was written again`);
  return result;
}

async function writtenAt(place: Place, part: string): Promise<number> {
  const { mtimeMs, ino } = await stat(join(place.out, "parts", part));
  return mtimeMs + ino;
}

/** Collects the process ids of a command's children while it lives. */
function watchDescendants(running: RunningCli): Set<number> {
  const pids = new Set<number>();
  const timer = setInterval(async () => {
    for (const pid of await descendantsOf(running.process.pid ?? 0).catch(() => [])) pids.add(pid);
  }, 50);
  void running.result.finally(() => clearInterval(timer));
  return pids;
}
