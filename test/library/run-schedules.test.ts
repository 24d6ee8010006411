import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelRun, enqueue, showSchedule } from "labelmill";
import { beginStart, readSchedule, readStarts } from "../../src/producer/schedule-book.js";
import type { TestRedis } from "../support/redis.js";
import { hour, hourMs, photos, useSchedules } from "../support/schedules.js";

describe("library/run-schedules", function () {
  this.timeout(300_000);
  const schedules = useSchedules();
  const { add, seen, claim, until, isSubmitted, execute, work, datasets, stopAll } = schedules;
  let server: TestRedis;
  beforeEach(() => {
    server = schedules.server();
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

  it("catches up one after the other with cancel-running too, until a start is on time", async () => {
    await add({ overlap: "cancel-running", catchUp: "all" });
    await claim(hour(2) + 120_000);
    execute();
    await until(["running", "waiting"]);
    await isSubmitted(0);
    await work();
    await until(["completed", "completed"]);
    await claim(hour(3));
    await until(["completed", "completed", "completed"]);
  });

  it("cancels nothing for a start that waits for the end of its quiet hours", async () => {
    await add({ overlap: "cancel-running" });
    execute();
    await claim(hour(1));
    await isSubmitted(0);
    const clock = (ms: number) => new Date(ms).toISOString().slice(11, 16);
    await add({
      overlap: "cancel-running",
      quiet: `${clock(Date.now() - hourMs)}-${clock(Date.now() + 3 * hourMs)}`,
    });
    await seen(hour(4) - 1);
    await claim(hour(4));
    while ((await server.redis.llen("{labelmill:schedules}:starts:active")) < 2) await sleep(50);
    // Nothing tells that it is not cancelled; where it was, that came with the first look.
    await sleep(1_000);
    await work();
    await until(["completed", "due"]);
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

  it("follows the run that it takes over, however it was cancelled or the schedule changed meanwhile", async () => {
    for (const [n, wanted] of ["completed", "cancelled"].entries()) {
      await add({ topK: n + 1 });
      const stop = execute();
      await seen(hour(n));
      await claim(hour(n + 1));
      await isSubmitted(n);
      await stop();
      if (wanted === "cancelled") {
        const runId = (await readStarts(server.redis, "s"))[n]?.runId ?? "";
        await cancelRun(runId, { redisUrl: server.url });
      } else await add({ topK: 9 });
      execute();
      if (wanted === "completed") await work();
      await until(["completed", "cancelled"].slice(0, n + 1));
      await stopAll();
    }
  });

  it("queues lost chunks again, since nobody repeats the submission", async () => {
    await add();
    execute();
    await claim(hour(1));
    await isSubmitted(0);
    const runId = (await readStarts(server.redis, "s"))[0]?.runId ?? "";
    await server.queueOf(runId).obliterate({ force: true });
    await work();
    await until(["completed"]);
  });

  it("submits again where Redis came back without the end of the submission", async () => {
    await add();
    execute();
    await claim(hour(1));
    await isSubmitted(0);
    const runId = (await readStarts(server.redis, "s"))[0]?.runId ?? "";
    await server.redis.hset(`{labelmill:${runId}}:run`, { state: "enqueuing", sealed: "0" });
    await work();
    await until(["completed"]);
  });
});
