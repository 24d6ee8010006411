import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { addSchedule, listSchedules, removeSchedule, type ScheduledStart, showSchedule, startWorker } from "labelmill";
import { readStarts } from "../../src/producer/schedule-book.js";
import type { ScheduleQueue } from "../../src/producer/schedule-queue.js";
import { startMortalRedis } from "../chaos/processes.js";
import { runCli, startCli } from "../support/cli.js";
import type { TestRedis } from "../support/redis.js";
import { hour, hourMs, photos, useSchedules } from "../support/schedules.js";

describe("library/schedules", function () {
  this.timeout(300_000);
  const schedules = useSchedules();
  const { tempDir, add, seen, claim, states, until, isSubmitted, execute, work, datasets } = schedules;
  let server: TestRedis;
  let queue: ScheduleQueue;
  beforeEach(() => {
    server = schedules.server();
    queue = schedules.queue();
  });

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

  it("keeps where the file of a header is, as another process in another directory finds it", async () => {
    const file = join(tempDir(), "header.txt");
    await writeFile(file, "Authorization: Bearer of-this-test\n");
    const given = relative(process.cwd(), file);
    const { options } = await add({ header: [`localhost=file:${given}`] });
    assert.deepEqual(options, { header: [`localhost=file:${file}`] });
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
