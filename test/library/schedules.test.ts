import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  addSchedule,
  enqueue,
  listSchedules,
  removeSchedule,
  runSchedules,
  type ScheduledStart,
  showSchedule,
  startWorker,
} from "labelmill";
import { resolveCall } from "../../src/library/context.js";
import { claimDue } from "../../src/library/run-schedules.js";
import { beginStart, readSchedule, readStarts } from "../../src/producer/schedule-book.js";
import { openScheduleQueue, type ScheduleQueue } from "../../src/producer/schedule-queue.js";
import { startMortalRedis } from "../chaos/processes.js";
import { runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");
const hourMs = 3_600_000;
/** Two days ahead: no executor claims the starts from here on by itself. */
const ahead = (Math.floor(Date.now() / hourMs) + 48) * hourMs;
const hour = (n: number) => ahead + n * hourMs;

describe("library/schedules", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  let queue: ScheduleQueue;
  const executors: { stop(): Promise<void> }[] = [];
  before(() => resnet50ForTests());
  beforeEach(async () => {
    server = await startTestRedis();
    queue = openScheduleQueue(server.redis);
  });
  afterEach(async () => {
    for (const executor of executors.splice(0)) await executor.stop();
    await queue.close();
    await server.close();
  });

  const add = async (words: Partial<Parameters<typeof addSchedule>[1]> = {}) => {
    const own = { name: "s", every: "1h", out: join(tempDir(), "out"), redisUrl: server.url };
    const added = await addSchedule(photos, { ...own, ...words });
    if (added.change === "added") await seen(ahead);
    return added;
  };
  /** All starts up to then have been claimed. */
  const seen = (ms: number) => server.redis.hset("{labelmill:schedules}:seen", "s", ms);
  const claim = (nowMs: number, name = "s") =>
    claimDue({ context: resolveCall({ redisUrl: server.url }), redis: server.redis, queue }, name, nowMs);
  const states = async () => (await readStarts(server.redis, "s")).map(({ state }) => state);
  const until = async (wanted: readonly string[]) => {
    while (JSON.stringify(await states()) !== JSON.stringify(wanted)) await sleep(50);
  };
  /** Has a run: its list is pinned, and its id known. */
  const isSubmitted = async (n: number) => {
    while ((await readStarts(server.redis, "s"))[n]?.runId == null) await sleep(50);
  };
  const execute = (lockMs = 2_000) => {
    const controller = new AbortController();
    const running = runSchedules({ redisUrl: server.url, lockMs, signal: controller.signal });
    // Awaited at the end.
    running.catch(() => {});
    executors.push({
      async stop() {
        controller.abort();
        await running;
      },
    });
  };
  const work = async () => {
    const worker = await startWorker({ redisUrl: server.url, allowRoot: [photos] });
    executors.push({ stop: () => worker.close(1_000) });
  };
  const datasets = () => readdir(join(tempDir(), "out"));

  it("checks the words of the run when it is added, and adds the same once, however many do so at once", async () => {
    const changes = (await Promise.all([1, 2, 3, 4].map(() => add({ topK: 3 })))).map(({ change }) => change);
    assert.deepEqual(changes.sort(), ["added", "unchanged", "unchanged", "unchanged"]);
    assert.equal((await add({ topK: 4 })).change, "changed");
    const [shown, ...others] = await listSchedules({ redisUrl: server.url });
    assert.deepEqual(others, []);
    assert.deepEqual([shown?.options, shown?.sources, shown?.isExecuted], [{ topK: 4 }, [photos], false]);
    assert.equal(Date.parse(shown?.next[0] ?? "") % hourMs, 0);
    assert.deepEqual(await queue.announced(), ["s"]);
    await assert.rejects(add({ model: "nobody" }), { code: "MODEL_UNKNOWN" });
    await assert.rejects(add({ name: "a b" }), { code: "OPTION_INVALID", message: /`name`/ });
    await assert.rejects(add({ out: join(tempDir(), "{date}") }), {
      code: "OPTION_INVALID",
      message: /\{start\} in it/,
    });
    const addTo = (source: string) => addSchedule(source, { name: "t", every: "1d", redisUrl: server.url });
    await assert.rejects(addTo(join(tempDir(), "none")), { code: "RUN_SOURCE_MISSING" });
    await assert.rejects(addTo("-"), { code: "OPTION_INVALID", message: /not stdin/ });
    await assert.rejects(showSchedule("S", { redisUrl: server.url }), {
      code: "SCHEDULE_UNKNOWN",
      message: /there are s$/,
    });
    await removeSchedule("s", { redisUrl: server.url });
    assert.deepEqual(await listSchedules({ redisUrl: server.url }), []);
    assert.deepEqual(await queue.announced(), []);
    await assert.rejects(removeSchedule("s", { redisUrl: server.url }), {
      code: "SCHEDULE_UNKNOWN",
      message: /there is none/,
    });
  });

  it("keeps the places of sinks without their passwords", async () => {
    const sink = ["postgres://me:canary@127.0.0.1:1/db", "lancedb:./lance"];
    const { options } = await add({ sink });
    assert.deepEqual(options.sink, ["postgres://me@127.0.0.1:1/db", `lancedb://${join(process.cwd(), "lance")}`]);
    const kept = await server.redis.hgetall("{labelmill:schedules}:schedules");
    assert.match(JSON.stringify(kept), /postgres/);
    assert.doesNotMatch(JSON.stringify(kept), /canary/);
  });

  it("does one run at a time where one takes three periods, and records what was skipped", async () => {
    await add();
    execute();
    execute();
    for (const n of [1, 2, 3]) {
      await Promise.all([claim(hour(n)), claim(hour(n))]);
      await until(["running", "skipped", "skipped"].slice(0, n));
    }
    await isSubmitted(0);
    await work();
    await until(["completed", "skipped", "skipped"]);
    await claim(hour(4));
    await until(["completed", "skipped", "skipped", "completed"]);
    const { last, lastOut } = await showSchedule("s", { redisUrl: server.url });
    assert.deepEqual(
      last.map(({ ok, failed, reason }) => [ok, failed, reason]),
      [
        [4, 0, null],
        [null, null, "an earlier start is still at work"],
        [null, null, "an earlier start is still at work"],
        [4, 0, null],
      ],
    );
    assert.equal(lastOut, last[0]?.out);
    assert.deepEqual((await datasets()).length, 2);
  });

  it("lets one start wait with queue, and cancels what is at work with cancel-running", async () => {
    await add({ overlap: "queue" });
    execute();
    for (const n of [1, 2, 3]) {
      await claim(hour(n));
      await until(["running", "waiting", "skipped"].slice(0, n));
    }
    await add({ overlap: "cancel-running" });
    await isSubmitted(0);
    await claim(hour(4));
    await until(["cancelled", "skipped", "skipped", "running"]);
    const { last } = await showSchedule("s", { redisUrl: server.url });
    assert.deepEqual(last.map(({ reason }) => reason).reverse(), [
      "a later start took its place",
      "a later start took its place",
      "another start waits already",
      null,
    ]);
  });

  it("takes over a start whose executor is gone between the submission and its note, without a second run", async () => {
    await add();
    await claim(hour(1));
    const schedule = await readSchedule(server.redis, "s");
    assert.ok(schedule !== null);
    assert.equal(await beginStart(server.redis, schedule, hour(1)), "running");
    const [start] = await readStarts(server.redis, "s");
    const { runId } = await enqueue(photos, { out: start?.out ?? "", redisUrl: server.url });
    execute();
    await work();
    await until(["completed"]);
    assert.equal((await readStarts(server.redis, "s"))[0]?.runId, runId);
    assert.equal((await datasets()).length, 1);
  });

  it("takes over from an executor that is killed, and starts nothing twice or never where Redis restarts", async () => {
    const mortal = await startMortalRedis(tempDir());
    const redisUrl = mortal.url;
    const args = ["schedule", "run", "--redis-url", redisUrl, "--lock-ms", "2000"];
    const out = join(tempDir(), "out");
    try {
      await addSchedule(photos, { name: "m", cron: "* * * * *", out, redisUrl });
      const killed = startCli(args);
      const oldest = (starts: readonly ScheduledStart[]) => starts.at(-1);
      const started = async (): Promise<readonly ScheduledStart[]> => (await showSchedule("m", { redisUrl })).last;
      while (oldest(await started())?.runId == null) await sleep(100);
      killed.process.kill("SIGKILL");
      await killed.result;
      await mortal.bounce(100);
      const nexts = [startCli(args), startCli(args)];
      const worker = await startWorker({ redisUrl, allowRoot: [photos] });
      while (oldest(await started())?.state !== "completed") await sleep(100);
      await worker.close(1_000);
      for (const next of nexts) {
        next.process.kill("SIGTERM");
        assert.equal((await next.result).code, 0, next.stderr());
      }
      const told = await started();
      const starts = told.map(({ start }) => Date.parse(start)).reverse();
      starts.forEach((ms, i) => void assert.equal(ms, (starts[0] ?? 0) + i * 60_000));
      const begun = told.filter(({ state }) => state !== "skipped" && state !== "missed");
      for (const name of await readdir(out))
        assert.ok(
          begun.some((start) => start.out === join(out, name)),
          name,
        );
    } finally {
      await mortal.close();
    }
  });

  it("catches up with none, the last or all of the starts that nobody was there for", async () => {
    const expected = {
      none: ["missed", "missed", "missed", "missed"],
      one: ["missed", "missed", "missed", "due"],
      all: ["missed", "missed", "due", "due"],
    };
    for (const [catchUp, wanted] of Object.entries(expected)) {
      await add({ catchUp: catchUp as "none", catchUpLimit: 2 });
      await claim(hour(4) + 120_000);
      assert.deepEqual(await states(), wanted, catchUp);
      await removeSchedule("s", { redisUrl: server.url });
    }
  });

  it("claims each start once over a change of clocks, by whomever and however often it is asked", async () => {
    await add({ cron: "30 2 * * *", every: undefined, timeZone: "Europe/Berlin", catchUp: "none" });
    for (const day of ["2026-10-25", "2027-03-28"]) {
      const from = Date.parse(`${day}T00:00Z`) - 12 * hourMs;
      await seen(from);
      for (let ms = from; ms < from + 24 * hourMs; ms += 600_000) await Promise.all([claim(ms), claim(ms)]);
    }
    const starts = (await readStarts(server.redis, "s")).map(({ startMs, state }) => [
      new Date(startMs).toISOString().slice(0, 16),
      state,
    ]);
    assert.deepEqual(starts, [
      ["2026-10-25T00:30", "due"],
      ["2027-03-28T01:30", "due"],
    ]);
  });

  it("tells by its commands what is scheduled and what became of it", async () => {
    const redis = ["--redis-url", server.url];
    const words = ["--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--limit", "2"];
    const added = await runCli(["schedule", "add", "nightly", photos, ...words, ...redis], { cwd: tempDir() });
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stdout, /^Added\.\n.*schedule +nightly\nstarts +30 2 \* \* \* \(Europe\/Berlin\)/s);
    assert.match(added.stdout, /"limit":2.*labelmill-out\/nightly\/\{start\}\n.*No `labelmill schedule run` executes/s);
    const listed = JSON.parse((await runCli(["schedule", "list", ...redis, "--json"])).stdout);
    assert.deepEqual(listed.schedules[0].options, { limit: 2 });
    const bad = await runCli(["schedule", "add", "x", photos, "--every", "1h", "--top-k", "0", ...redis]);
    assert.deepEqual([bad.code, /Expected `topK` to be an integer/.test(bad.stderr)], [2, true], bad.stderr);
    const unknown = await runCli(["schedule", "add", "x", photos, "--every", "1h", "--topk", "1", ...redis]);
    assert.deepEqual([unknown.code, /unknown option '--topk'/.test(unknown.stderr)], [2, true], unknown.stderr);
    const removed = await runCli(["schedule", "rm", "nightly", ...redis]);
    assert.equal(removed.stdout, "Schedule nightly is forgotten; its datasets stay.\n");
    assert.equal((await runCli(["schedule", "list", ...redis])).stdout, "No schedules.\n");
  });
});
