import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { LabelmillError } from "../../src/shared/errors.js";
import { type Log, silentLog } from "../../src/shared/log.js";
import { createOutages } from "../../src/shared/outages.js";
import { openRedis } from "../../src/shared/redis.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";

const never = new AbortController().signal;
/** As ioredis rejects with. */
const refusal = () => Object.assign(new Error("OOM command not allowed"), { name: "ReplyError" });
const full = () => new LabelmillError("STORAGE_FULL", { path: "/data/part" });

/** Fails with `error` in its first `times` calls, then gives "done". */
function fails(times: number, error: () => Error) {
  const action = async (): Promise<string> => {
    action.calls += 1;
    if (action.calls <= times) throw error();
    return "done";
  };
  action.calls = 0;
  return action;
}

/** A log that keeps what operators see, each line with its level. */
function keepLines(): { readonly lines: string[]; readonly log: Log } {
  const lines: string[] = [];
  const keep = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, log: { ...silentLog, info: keep("info"), warn: keep("warn"), error: keep("error") } };
}

const waiting =
  "warn waiting: No space left to write /data/part; free some (and repeat the command where it has ended)";
const over = "info no longer waiting";
const givenUp = "info gave up waiting";

describe("shared/outages", () => {
  describe("storage", () => {
    it("waits while storage fails, and gives the value after", async () => {
      const { lines, log } = keepLines();
      const action = fails(2, full);
      assert.equal(await createOutages({ storageTimeoutMs: 5_000, log }).outlast(action, never), "done");
      assert.equal(action.calls, 3);
      assert.deepEqual(lines, [waiting, over]);
    });

    it("says nothing, and calls once, where nothing fails", async () => {
      const { lines, log } = keepLines();
      const action = fails(0, full);
      assert.equal(await createOutages({ storageTimeoutMs: 5_000, log }).outlast(action, never), "done");
      assert.equal(action.calls, 1);
      assert.deepEqual(lines, []);
    });

    it("rejects with the storage's error where that is not back in time, and not before", async () => {
      const { lines, log } = keepLines();
      const startedMs = Date.now();
      const lost = createOutages({ storageTimeoutMs: 300, log }).outlast(fails(Number.POSITIVE_INFINITY, full), never);
      await assert.rejects(lost, { code: "STORAGE_FULL" });
      const tookMs = Date.now() - startedMs;
      assert.ok(tookMs >= 299, `rejected after ${tookMs} ms`);
      assert.deepEqual(lines, [waiting, givenUp]);
    });

    it("does not wait at all where the time is 0", async () => {
      const { lines, log } = keepLines();
      const action = fails(Number.POSITIVE_INFINITY, full);
      await assert.rejects(createOutages({ storageTimeoutMs: 0, log }).outlast(action, never), {
        code: "STORAGE_FULL",
      });
      assert.equal(action.calls, 1);
      assert.deepEqual(lines, []);
    });

    it("counts the time from the failure, however long the action had worked before", async () => {
      const action = fails(1, full);
      const long = async () => {
        if (action.calls === 0) await sleep(1_200);
        return action();
      };
      assert.equal(await createOutages({ storageTimeoutMs: 1_000, log: silentLog }).outlast(long, never), "done");
    });

    it("does not count a wait for Redis against the time that storage has", async () => {
      let calls = 0;
      const mixed = async () => {
        calls += 1;
        if (calls > 4) return "done";
        throw calls < 4 ? refusal() : full();
      };
      assert.equal(await createOutages({ storageTimeoutMs: 600, log: silentLog }).outlast(mixed, never), "done");
    });

    it("rejects with any other error at once", async () => {
      const { lines, log } = keepLines();
      const others = [
        new LabelmillError("RUN_DATASET_CORRUPT", { path: "/data/part", reason: "not gzip" }),
        new TypeError("no function"),
        new Error("OOM command not allowed"),
      ];
      for (const error of others) {
        const action = fails(Number.POSITIVE_INFINITY, () => error);
        const given = createOutages({ storageTimeoutMs: 5_000, log }).outlast(action, never);
        await assert.rejects(given, (got) => got === error);
        assert.equal(action.calls, 1);
      }
      assert.deepEqual(lines, []);
    });

    it("rejects with an error that comes after the trouble, and says that it gave up", async () => {
      const { lines, log } = keepLines();
      let calls = 0;
      const action = async () => {
        calls += 1;
        throw calls === 1 ? full() : new LabelmillError("RUN_RECORD_LOST", { runId: "r", reason: "gone" });
      };
      const lost = createOutages({ storageTimeoutMs: 5_000, log }).outlast(action, never);
      await assert.rejects(lost, { code: "RUN_RECORD_LOST" });
      assert.deepEqual(lines, [waiting, givenUp]);
    });
  });

  describe("signal", () => {
    const outages = createOutages({ storageTimeoutMs: 60_000, log: silentLog });

    it("rejects with the signal's reason where that aborts in a wait", async () => {
      const stop = new AbortController();
      const reason = new Error("stopped");
      const action = fails(Number.POSITIVE_INFINITY, full);
      const stopped = outages.outlast(action, stop.signal);
      await sleep(150);
      const { calls } = action;
      let isOver = false;
      stopped.catch(() => (isOver = true));
      stop.abort(reason);
      await new Promise(setImmediate);
      assert.ok(isOver, "the wait under way is not waited for");
      await assert.rejects(stopped, (error) => error === reason);
      await sleep(250);
      assert.equal(action.calls, calls, "called again after the abort");
    });

    it("rejects at once where the signal was aborted before", async () => {
      const reason = new Error("stopped");
      const action = fails(Number.POSITIVE_INFINITY, full);
      await assert.rejects(outages.outlast(action, AbortSignal.abort(reason)), (error) => error === reason);
      assert.ok(action.calls <= 1);
    });
  });

  describe("log", () => {
    it("says once what many wait for, and once that it is over", async () => {
      const { lines, log } = keepLines();
      const outages = createOutages({ storageTimeoutMs: 10_000, log });
      let isFull = true;
      const action = async () => {
        if (isFull) throw full();
      };
      const wait = () => outages.outlast(action, new AbortController().signal);
      const first = Array.from({ length: 20 }, wait);
      await sleep(100);
      const later = Array.from({ length: 20 }, wait);
      await sleep(100);
      assert.deepEqual(lines, [waiting]);
      isFull = false;
      await Promise.all([...first, ...later]);
      assert.deepEqual(lines, [waiting, over]);
    });

    it("says the next outage again", async () => {
      const { lines, log } = keepLines();
      const outages = createOutages({ storageTimeoutMs: 10_000, log });
      await outages.outlast(fails(1, full), never);
      await outages.outlast(fails(1, full), never);
      assert.deepEqual(lines, [waiting, over, waiting, over]);
    });
  });

  describe("redis", () => {
    let server: TestRedis;
    before(async () => {
      server = await startTestRedis();
    });
    after(() => server.close());
    afterEach(() => server.redis.config("SET", "maxmemory", "0"));

    const outages = createOutages({ storageTimeoutMs: 0, log: silentLog });
    const fill = () => server.redis.config("SET", "maxmemory", "1kb");

    /** Calls `action`, which has been refused so many times when there is room again; gives its value and the refusals. */
    const refused = async (times: number, action: () => Promise<unknown>) => {
      const refusals: string[] = [];
      const counted = () =>
        action().catch(async (error: Error) => {
          refusals.push(error.message);
          if (refusals.length === times) await server.redis.config("SET", "maxmemory", "0");
          throw error;
        });
      const value = await outages.outlast(counted, never);
      return { value, refusals };
    };

    it("waits for a server at its memory limit, longer than for storage, and goes on once there is room", async () => {
      await fill();
      const { value, refusals } = await refused(3, () => server.redis.set("key", "kept"));
      assert.equal(value, "OK");
      assert.equal(refusals.length, 3, String(refusals));
      assert.match(refusals[0] ?? "", /^OOM /);
      assert.equal(await server.redis.get("key"), "kept");
    });

    it("knows a refusal inside a script", async () => {
      await fill();
      const script = () => server.redis.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "script", "kept");
      const { value, refusals } = await refused(2, script);
      assert.equal(value, "OK");
      assert.match(refusals[0] ?? "", /OOM .*script/);
      assert.equal(await server.redis.get("script"), "kept");
    });

    it("knows a refusal in the words of servers before 7.0, which put the script's name before it", async () => {
      const words =
        "ERR Error running script (call to f_0a1b): @user_script:1: @user_script: 1: -OOM command not allowed";
      let calls = 0;
      const old = async () => {
        calls += 1;
        return calls < 3 ? server.redis.eval("return redis.error_reply(ARGV[1])", 0, words) : "done";
      };
      assert.equal(await outages.outlast(old, never), "done");
    });

    it("waits for a server that a foreign script keeps busy", async () => {
      const foreign = await openRedis(server.url);
      await server.redis.config("SET", "busy-reply-threshold", "20");
      const running = foreign.eval("while true do end", 0).catch((error: Error) => error.message);
      const isBusy = () =>
        server.redis.ping().then(
          () => false,
          () => true,
        );
      while (!(await isBusy())) await sleep(5);
      const killed = sleep(300).then(() => server.redis.script("KILL"));
      assert.equal(await outages.outlast(() => server.redis.set("busy", "kept"), never), "OK");
      await killed;
      assert.match(String(await running), /killed/i);
      foreign.disconnect();
    });

    it("rejects at once with what Redis says of the command itself", async () => {
      await server.redis.set("text", "kept");
      const wrong = outages.outlast(() => server.redis.lpush("text", "x"), never);
      await assert.rejects(wrong, /^ReplyError: WRONGTYPE /);
      await server.redis.xgroup("CREATE", "stream", "group", "$", "MKSTREAM");
      const again = outages.outlast(() => server.redis.xgroup("CREATE", "stream", "group", "$"), never);
      await assert.rejects(again, /^ReplyError: BUSYGROUP /);
    });

    it("stops waiting for Redis where the signal aborts", async () => {
      await fill();
      const stop = new AbortController();
      const stopped = outages.outlast(() => server.redis.set("key", "late"), stop.signal);
      await sleep(150);
      stop.abort(new Error("stopped"));
      await assert.rejects(stopped, /stopped/);
    });
  });
});
