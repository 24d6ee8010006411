import assert from "node:assert/strict";
import { queueName, runPrefix } from "../../src/shared/job.js";
import { controlRun, controlTable, type RunCommand, requireOutcome } from "../../src/shared/run-control.js";
import { listActiveRuns, listKnownRuns } from "../../src/shared/run-index.js";
import {
  commitChunk,
  completeRun,
  createRun,
  growRun,
  type RunKey,
  type RunState,
  readRun,
  runStates,
  sealRun,
} from "../../src/shared/run-record.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { testPolicy } from "../support/run-harness.js";

/** What each command makes of each state: the state afterwards, `=` unchanged, `!` refused. */
const expected: Readonly<Record<RunCommand, Readonly<Record<RunState, string>>>> = {
  pause: table("paused paused = ! ! !"),
  resume: table("= = running = ! !"),
  cancel: table("cancelled cancelled cancelled cancelled ! ="),
  rm: table("! ! ! ! gone gone"),
};

function table(cells: string): Record<RunState, string> {
  const outcomes = cells.split(" ");
  return Object.fromEntries(runStates.map((state, i) => [state, outcomes[i] ?? ""])) as Record<RunState, string>;
}

const busy = { fetchMs: 1, decodeMs: 2, inferMs: 3, workMs: 4 };

describe("shared/run-control", () => {
  let server: TestRedis;
  let number = 0;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  const register = (run: RunKey, priority = 0) =>
    createRun(server.redis, { ...run, ...testPolicy, priority, out: "/out", schemaVersion: 1 });
  const commit = (run: RunKey, chunk: number) =>
    commitChunk(server.redis, run, { chunk, ok: 8, failed: 0, failuresByCode: {}, duplicates: 0, busy, engine: null });

  /** A run of two chunks, whose list is pinned and perhaps sealed. */
  async function newRun({ sealed = true } = {}): Promise<RunKey> {
    number += 1;
    const run = { runId: `r${number}`, epoch: `e${number}` };
    await register(run);
    await growRun(server.redis, run, { segment: 0, chunks: 2, items: 16 });
    if (sealed) await sealRun(server.redis, run);
    return run;
  }

  async function runIn(state: RunState): Promise<RunKey> {
    const run = await newRun({ sealed: state !== "enqueuing" });
    if (state === "finalizing" || state === "completed") for (const chunk of [0, 1]) await commit(run, chunk);
    if (state === "completed") await completeRun(server.redis, run);
    if (state === "paused") await controlRun(server.redis, run, "pause");
    if (state === "cancelled") await controlRun(server.redis, run, "cancel");
    assert.equal(await stateOf(run), state);
    return run;
  }

  const stateOf = async ({ runId }: RunKey) => (await readRun(server.redis, runId))?.state ?? "gone";
  const keysOf = async ({ runId }: RunKey) => server.redis.keys(`${runPrefix(runId).replaceAll(/[[\]]/g, "?")}*`);

  for (const command of Object.keys(expected) as RunCommand[]) {
    for (const state of runStates) {
      const outcome = expected[command][state];
      it(`${command} in ${state}: ${outcome === "=" ? "no change" : outcome === "!" ? "an error" : outcome}`, async () => {
        const run = await runIn(state);
        const doing = controlRun(server.redis, run, command);
        if (outcome === "!") {
          const reason = controlTable[command][state];
          assert.ok(reason.kind === "refused");
          await assert.rejects(doing, (error: Error & { code?: string }) => {
            assert.equal(error.code, "RUN_STATE");
            assert.equal(error.message, `Cannot ${command} run ${run.runId}, which is ${state}: ${reason.reason}`);
            return true;
          });
        } else assert.deepEqual(await doing, { changed: outcome !== "=", from: state });
        const after = outcome === "=" || outcome === "!" ? state : outcome;
        assert.equal(await stateOf(run), after);
        assert.equal((await listActiveRuns(server.redis)).includes(run.runId), !/gone|completed|cancelled/.test(after));
        assert.equal((await listKnownRuns(server.redis)).includes(run.runId), after !== "gone");
        if (after === "gone") assert.deepEqual(await keysOf(run), []);
        // BullMQ's own idea of it: an update that moves the flag elsewhere fails here.
        const queue = server.queueOf(run.runId);
        assert.equal(await queue.isPaused(), after === "paused" || after === "cancelled");
      });
    }
  }

  it("refuses everything but rm of a run whose process is gone", () => {
    for (const command of ["pause", "resume", "cancel"] as const)
      assert.throws(() => requireOutcome(command, "r", "interrupted"), { code: "RUN_STATE" });
    assert.deepEqual(requireOutcome("rm", "r", "interrupted"), { changed: true, from: "interrupted" });
  });

  it("pins a paused run further, and resumes it into enqueuing or running, as its list is", async () => {
    const open = await newRun({ sealed: false });
    await controlRun(server.redis, open, "pause");
    await growRun(server.redis, open, { segment: 1, chunks: 4, items: 32 });
    assert.equal((await readRun(server.redis, open.runId))?.chunks, 4, "a paused run is pinned further");
    await controlRun(server.redis, open, "resume");
    assert.equal(await stateOf(open), "enqueuing");
    await controlRun(server.redis, open, "pause");
    await sealRun(server.redis, open);
    assert.equal(await stateOf(open), "paused");
    await controlRun(server.redis, open, "resume");
    assert.equal(await stateOf(open), "running");
  });

  it("finalizes a paused run whose last chunks were in hand, and adds up how long it was paused", async () => {
    const run = await newRun();
    await controlRun(server.redis, run, "pause");
    await new Promise((resolve) => setTimeout(resolve, 30));
    await controlRun(server.redis, run, "resume");
    const { pausedMs = 0 } = (await readRun(server.redis, run.runId)) ?? {};
    assert.ok(pausedMs >= 25 && pausedMs < 60_000, `${pausedMs} ms`);
    await controlRun(server.redis, run, "pause");
    await commit(run, 0);
    assert.equal(await stateOf(run), "paused");
    await commit(run, 1);
    assert.equal(await stateOf(run), "finalizing");
  });

  it("changes a run once, however many do so at once, and leaves record and queue in one state whoever wins", async () => {
    const run = await newRun();
    const paused = await Promise.all(Array.from({ length: 20 }, () => controlRun(server.redis, run, "pause")));
    assert.equal(paused.filter(({ changed }) => changed).length, 1);
    const both = (i: number) => controlRun(server.redis, run, i % 2 === 0 ? "pause" : "resume");
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 7 }, (_, i) => both(i + round)));
      const isPaused = (await stateOf(run)) === "paused";
      assert.equal(await server.queueOf(run.runId).isPaused(), isPaused);
    }
    const ends = await Promise.all(Array.from({ length: 20 }, () => controlRun(server.redis, run, "cancel")));
    assert.equal(ends.filter(({ changed }) => changed).length, 1);
  });

  it("stops the producer of a cancelled run, counts what was in hand, and takes it up again when it is submitted", async () => {
    const run = await newRun({ sealed: false });
    await controlRun(server.redis, run, "cancel");
    const cancelled = { code: "RUN_CANCELLED", retryable: true };
    await assert.rejects(growRun(server.redis, run, { segment: 1, chunks: 3, items: 24 }), cancelled);
    await assert.rejects(sealRun(server.redis, run), cancelled);
    assert.equal(await commit(run, 0), true);
    assert.equal(await stateOf(run), "cancelled");
    assert.equal(await register(run), "reopened");
    const record = await readRun(server.redis, run.runId);
    assert.deepEqual([record?.state, record?.ok, record?.chunks], ["enqueuing", 0, 0]);
    assert.equal(await register(run, 7), "found");
    assert.equal((await readRun(server.redis, run.runId))?.priority, 7);
  });

  it("completes a cancelled run whose summary was being written meanwhile", async () => {
    const run = await runIn("finalizing");
    await controlRun(server.redis, run, "cancel");
    await completeRun(server.redis, run);
    assert.equal(await stateOf(run), "completed");
  });

  it("lets every key of a run expire once it has ended, also those of chunks that are counted later, and none before", async () => {
    const ttls = async (run: RunKey) => Promise.all((await keysOf(run)).map((key) => server.redis.pttl(key)));
    const run = await newRun();
    await server.redis.hset(`${runPrefix(run.runId)}:${queueName}:meta`, "opts.maxLenEvents", 1);
    assert.ok((await ttls(run)).every((ms) => ms === -1));
    await controlRun(server.redis, run, "cancel");
    await commit(run, 1);
    const later = await ttls(run);
    assert.ok(later.length >= 3 && later.every((ms) => ms > 0 && ms <= testPolicy.keepMs), String(later));
    await register(run);
    assert.ok((await ttls(run)).every((ms) => ms === -1));
    const done = await runIn("completed");
    assert.ok((await ttls(done)).every((ms) => ms > 0 && ms <= testPolicy.keepMs));
  });

  it("knows nothing of a run whose record is of another epoch", async () => {
    const run = await newRun();
    const other = { ...run, epoch: "another" };
    await assert.rejects(controlRun(server.redis, other, "cancel"), { code: "RUN_RECORD_LOST" });
    assert.equal(await stateOf(run), "running");
  });
});
