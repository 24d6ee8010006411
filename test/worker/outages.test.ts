/** What a worker does while the dataset of a run is away: real directories, taken away and brought back. */
import assert from "node:assert/strict";
import { access, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Log, silentLog } from "../../src/shared/log.js";
import { createOutages, type Outages } from "../../src/shared/outages.js";
import { assertOnceEach, gatedPredict } from "../support/outages.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { assertSound, completed, keepLog, startTestConsumer, submitRun, type TestRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

/** So patient that a drain which outlasts it ends no test. */
const patient: Outages = createOutages({ storageTimeoutMs: 600_000, log: silentLog });

describe("worker/outages", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(async () => {
    await server.close();
  });

  const chunksOf = async ({ head }: Pick<TestRun, "head">) => server.queueOf(head.runId).getJobCounts("wait", "active");

  describe("a dataset that fails", () => {
    const away = () => join(tempDir(), "away");
    const out = () => join(tempDir(), "out");
    const vanish = () => rename(out(), away());
    const comeBack = () => rename(away(), out());

    it("is waited for with the rows in hand, and no row is made again", async () => {
      const run = await submitRun(server.redis, out(), { count: 24 });
      const gate = gatedPredict();
      const consumer = startTestConsumer(server.redis, { predict: gate.predict, outages: patient });
      while (gate.seen.length < 8) await sleep(10);
      await vanish();
      gate.open();
      await sleep(1_000);
      assert.equal(await isThere(out()), false);
      assert.deepEqual(await chunksOf(run), { wait: 4, active: 2 });
      await comeBack();
      await completed(run);
      await consumer.drain(1_000);
      assertOnceEach(gate.seen, 24);
      await assertSound(run, 24);
    });

    it("is left for a while once the time is over, with the reason in the log, and other runs are done", async () => {
      const bad = await submitRun(server.redis, out(), { count: 24 });
      const gate = gatedPredict();
      const { reasons, log } = keepReasons();
      let takes = 0;
      const consumer = startTestConsumer(server.redis, {
        predict: gate.predict,
        log,
        wrapQueue: (queue) => ({
          ...queue,
          take: async () => {
            const taken = await queue.take();
            if (taken !== null) takes += 1;
            return taken;
          },
        }),
      });
      while (gate.seen.length < 8) await sleep(10);
      await vanish();
      gate.open();
      const good = await submitRun(server.redis, join(tempDir(), "good"));
      await completed(good);
      await consumer.drain(1_000);
      await assertSound(good, 12);
      assert.equal(await isThere(out()), false);
      assert.deepEqual(await chunksOf(bad), { wait: 6, active: 0 });
      assert.equal(reasons.length, 1, reasons.join("\n"));
      assert.match(reasons[0] ?? "", /run\.json is gone/);
      assert.ok(takes <= 10, `took a chunk ${takes} times, of 6 chunks of one run and 3 of another`);
      await comeBack();
      const other = startTestConsumer(server.redis);
      await completed(bad);
      await other.drain(1_000);
      await assertSound(bad, 24);
    });

    it("ends a worker of that run alone, which gives back what it held", async () => {
      const run = await submitRun(server.redis, out());
      const gate = gatedPredict();
      const onlyRun = run.head.runId;
      const consumer = startTestConsumer(server.redis, { predict: gate.predict, onlyRun, lockMs: 60_000 });
      while (gate.seen.length < 8) await sleep(10);
      await vanish();
      gate.open();
      await assert.rejects(consumer.ended, { code: "STORAGE_FAILED", message: /run\.json is gone/ });
      assert.deepEqual(await chunksOf(run), { wait: 3, active: 0 });
    });

    it("does not outlast the time to drain, and the chunks go back", async () => {
      const run = await submitRun(server.redis, out());
      const gate = gatedPredict();
      const { lines, log } = keepLog();
      const options = { predict: gate.predict, outages: patient, lockMs: 60_000, log };
      const consumer = startTestConsumer(server.redis, options);
      while (gate.seen.length < 8) await sleep(10);
      await vanish();
      gate.open();
      await sleep(200);
      await consumer.drain(200);
      assert.deepEqual(await chunksOf(run), { wait: 3, active: 0 });
      assert.deepEqual(lines, []);
      await comeBack();
      const other = startTestConsumer(server.redis);
      await completed(run);
      await other.drain(1_000);
      await assertSound(run, 12);
    });
  });
});

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** A log that keeps the reasons of its warnings. */
function keepReasons(): { readonly reasons: string[]; readonly log: Log } {
  const reasons: string[] = [];
  return { reasons, log: { ...silentLog, warn: (_, fields) => void reasons.push(String(fields?.reason)) } };
}
