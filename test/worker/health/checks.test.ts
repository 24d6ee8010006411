import assert from "node:assert/strict";
import { createRedisCheck, judgeProgress, type Progress } from "../../../src/worker/health/checks.js";
import { createWorkerMeter } from "../../../src/worker/health/meter.js";

const progress: Progress = {
  nowMs: 100_000,
  stepAtMs: 100_000,
  chunksInHand: 2,
  isWaiting: false,
  waitedUntilMs: 0,
  stallTimeoutMs: 60_000,
};

describe("worker/health/checks", () => {
  it("takes a worker for alive that made a step lately, with chunks in hand or without", () => {
    for (const chunksInHand of [0, 2]) {
      assert.equal(judgeProgress({ ...progress, chunksInHand, stepAtMs: 40_000 }).ok, true);
      assert.equal(judgeProgress({ ...progress, chunksInHand, stepAtMs: 39_999 }).ok, false);
    }
    assert.match(judgeProgress({ ...progress, stepAtMs: 0 }).says, /^2 chunks in hand, stuck: last step 100\.0 s ago$/);
  });

  it("counts no time that a worker waits for storage or Redis", () => {
    assert.equal(judgeProgress({ ...progress, stepAtMs: 0, isWaiting: true }).ok, true);
    assert.equal(judgeProgress({ ...progress, stepAtMs: 0, waitedUntilMs: 40_000 }).ok, true);
    assert.equal(judgeProgress({ ...progress, stepAtMs: 0, waitedUntilMs: 39_999 }).ok, false);
  });

  it("asks a Redis one question at a time, and none where the connection is down", async () => {
    let asked = 0;
    let reply = (_: string) => {};
    const redis = {
      status: "ready" as "ready" | "reconnecting",
      ping: () => {
        asked += 1;
        return new Promise<string>((resolve) => {
          reply = resolve;
        });
      },
    };
    const isUp = createRedisCheck(redis as unknown as Parameters<typeof createRedisCheck>[0]);
    const answers = [isUp(), isUp()];
    reply("PONG");
    assert.deepEqual(await Promise.all(answers), [true, true]);
    assert.equal(asked, 1);
    redis.status = "reconnecting";
    assert.equal(await isUp(), false);
    assert.equal(asked, 1);
  });

  it("takes looking for work for a step only where there is none in hand", () => {
    const meter = createWorkerMeter();
    const step = () => meter.counts.stepAtMs;
    meter.tookChunk();
    const before = step();
    meter.looked();
    assert.equal(step(), before);
    meter.leftChunk("done");
    const left = step();
    while (performance.now() === left);
    meter.looked();
    assert.ok(step() > left);
  });
});
