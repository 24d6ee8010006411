import assert from "node:assert/strict";
import { mock } from "node:test";
import type { TakenChunk } from "../../src/worker/run-queue.js";
import { createScheduler } from "../../src/worker/scheduler.js";
import type { ServedRun } from "../../src/worker/serving.js";

/** A run with `chunks` to give; the queue is plain numbers. */
function testRun(runId: string, chunks: number, { priority = 0, chunkItems = 1 } = {}) {
  const state = { chunks, priority, isClosed: false };
  const taken = {} as TakenChunk;
  const take = async () => {
    if (state.chunks === 0) return null;
    state.chunks -= 1;
    return taken;
  };
  const run: ServedRun = {
    runId,
    chunkItems,
    priority: () => state.priority,
    queue: { take, close: async () => {} },
    serve: async () => ({ isFound: false }),
    leave: () => false,
    close: async () => {
      state.isClosed = true;
    },
  };
  return { run, state };
}

const everything = Number.NEGATIVE_INFINITY;

describe("worker/scheduler", () => {
  let nowMs = 0;
  beforeEach(() => void mock.method(performance, "now", () => nowMs));
  afterEach(() => mock.restoreAll());

  const schedulerOf = (...runs: { run: ServedRun }[]) =>
    createScheduler(
      async () => runs.map(({ run }) => run),
      () => false,
    );

  async function takeIds(scheduler: ReturnType<typeof schedulerOf>, count: number): Promise<string> {
    let ids = "";
    for (let i = 0; i < count; i += 1) ids += (await scheduler.next(everything))?.run.runId ?? "-";
    return ids;
  }

  it("takes all of the run with the highest priority first, then the next", async () => {
    const runs = [testRun("a", 2), testRun("b", 2, { priority: 5 }), testRun("c", 1, { priority: -1 })];
    assert.equal(await takeIds(schedulerOf(...runs), 6), "bbaac-");
  });

  it("follows a priority that changes", async () => {
    const [a, b] = [testRun("a", 9), testRun("b", 9, { priority: 1 })];
    const scheduler = schedulerOf(a, b);
    assert.equal(await takeIds(scheduler, 2), "bb");
    a.state.priority = 2;
    assert.equal(await takeIds(scheduler, 2), "aa");
  });

  it("puts a run that gets another priority level with its new equals", async () => {
    const [a, b, c] = [testRun("a", 99, { priority: 1 }), testRun("b", 99), testRun("c", 99)];
    const scheduler = schedulerOf(a, b, c);
    assert.equal(await takeIds(scheduler, 30), "a".repeat(30));
    a.state.priority = 0;
    nowMs += 1_001;
    const ids = await takeIds(scheduler, 30);
    assert.equal([...ids].filter((id) => id === "a").length, 10, ids);
  });

  it("gives equal runs the same share, in turn", async () => {
    const runs = ["a", "b", "c"].map((id) => testRun(id, 90));
    const ids = await takeIds(schedulerOf(...runs), 90);
    for (let i = 0; i < 90; i += 3) assert.deepEqual([...ids.slice(i, i + 3)].sort(), ["a", "b", "c"]);
  });

  it("starts a new run level with its equals, whatever others wait", async () => {
    const low = testRun("l", 9);
    const runs = [testRun("a", 99, { priority: 1, chunkItems: 1_000 }), low];
    const scheduler = createScheduler(
      async () => runs.map(({ run }) => run),
      () => false,
    );
    assert.equal(await takeIds(scheduler, 3), "aaa");
    runs.push(testRun("c", 99, { priority: 1, chunkItems: 1_000 }));
    nowMs += 1_001;
    assert.equal([...(await takeIds(scheduler, 10))].filter((id) => id === "c").length, 5);
  });

  it("counts items, not chunks: a run of small chunks gets more of them", async () => {
    const ids = await takeIds(
      schedulerOf(testRun("a", 99, { chunkItems: 8 }), testRun("b", 99, { chunkItems: 2 })),
      50,
    );
    assert.equal([...ids].filter((id) => id === "a").length, 10);
  });

  it("gives a run that had nothing to do no claim for that time", async () => {
    const [a, b] = [testRun("a", 200), testRun("b", 0)];
    const scheduler = schedulerOf(a, b);
    assert.equal(await takeIds(scheduler, 100), "a".repeat(100));
    b.state.chunks = 100;
    const ids = await takeIds(scheduler, 20);
    assert.equal([...ids].filter((id) => id === "b").length, 10, ids);
  });

  it("takes only what is above a priority, where that is asked for", async () => {
    const scheduler = schedulerOf(testRun("a", 1, { priority: 1 }), testRun("b", 1, { priority: 3 }));
    assert.equal((await scheduler.next(1))?.run.runId, "b");
    assert.equal(await scheduler.next(1), null);
    assert.equal(await scheduler.next(Number.POSITIVE_INFINITY), null);
    assert.equal((await scheduler.next(0))?.run.runId, "a");
  });

  it("takes nothing of a forgotten run, and closes all in the end", async () => {
    const [a, b] = [testRun("a", 5), testRun("b", 1)];
    const scheduler = schedulerOf(a, b);
    await scheduler.next(everything);
    scheduler.forget(a.run);
    assert.equal(await takeIds(scheduler, 2), "b-");
    await scheduler.close();
    assert.deepEqual([a.state.isClosed, b.state.isClosed], [true, true]);
  });
});
