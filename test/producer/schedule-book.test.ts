import assert from "node:assert/strict";
import {
  dropSchedule,
  putSchedule,
  readSchedule,
  readSeen,
  readStarts,
  type Schedule,
} from "../../src/producer/schedule-book.js";
import { parseTiming } from "../../src/producer/schedule-timing.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";

describe("producer/schedule-book", () => {
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  const schedule: Schedule = {
    v: 1,
    name: "s",
    sources: ["/photos"],
    options: {},
    out: "/out/{start}",
    pattern: JSON.stringify(parseTiming({ every: "1h" }, 0)),
    overlap: "skip",
    catchUp: "one",
    catchUpLimit: 10,
  };

  it("counts starts from the addition where the schedule of that name is dropped at the same time", async () => {
    const { redis } = server;
    // The scripts are known to the server from here on, so that what follows reaches it in the order of the calls.
    await putSchedule(redis, schedule);
    assert.equal(await dropSchedule(redis, "s"), true);
    assert.equal(await dropSchedule(redis, "s"), false);
    await putSchedule(redis, schedule);
    const beforeMs = Date.now();
    await Promise.all([dropSchedule(redis, "s"), putSchedule(redis, schedule)]);
    assert.deepEqual(await readSchedule(redis, "s"), schedule);
    assert.ok((await readSeen(redis, "s")) >= beforeMs);
  });

  it("tells in one line what it cannot read", async () => {
    const { redis } = server;
    const unreadable = (reason: RegExp) => ({ code: "SCHEDULE_UNREADABLE", message: reason });
    await redis.hset("{labelmill:schedules}:schedules", "odd", '{"v":2}');
    await redis.hset("{labelmill:schedules}:starts-of:odd", "5", '{"startMs":5,"state":"resting"}');
    await assert.rejects(readSchedule(redis, "odd"), unreadable(/version: v: .*expected 1;/));
    await assert.rejects(readStarts(redis, "odd"), unreadable(/version: state: /));
    await redis.hset("{labelmill:schedules}:schedules", "odd", "{");
    await assert.rejects(readSchedule(redis, "odd"), unreadable(/JSON/));
  });
});
