import assert from "node:assert/strict";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import type { ComputeClient } from "../../src/worker/compute-client/client.js";
import { createProcessLimits } from "../../src/worker/process-limits.js";

const settings = { decodeConcurrency: 2, batchSize: 8, children: 1, fetchConcurrency: 32 };
const limitsWith = (times: () => Partial<ReturnType<ComputeClient["times"]>>) =>
  createProcessLimits(settings, {
    times: () => ({ decodeMs: 0, inferMs: 0, batches: 0, images: 0, restarts: 0, ...times() }),
  } as ComputeClient);

describe("worker/process-limits", () => {
  it("starts no fetch while too many bytes are held, and goes on when they are let go", async () => {
    const limits = limitsWith(() => ({}));
    let started = 0;
    const fetch = () => limits.admitFetch("network", 1).then(() => (started += 1));
    limits.holdBytes(2 ** 28 - 1);
    void fetch();
    await turn();
    assert.equal(started, 1);
    limits.holdBytes(1);
    void fetch();
    await turn();
    assert.equal(started, 1);
    limits.holdBytes(-1);
    await turn();
    assert.equal(started, 2);
  });

  it("lets no fetch start between the end of another and the count of its bytes", async () => {
    const limits = limitsWith(() => ({}));
    const first = await Promise.all(Array.from({ length: 32 }, () => limits.admitFetch("network", 1)));
    let started = 0;
    void limits.admitFetch("network", 1).then(() => (started += 1));
    first[0]?.();
    limits.holdBytes(2 ** 28);
    await sleep(5);
    assert.equal(started, 0);
    limits.holdBytes(-1);
    await sleep(5);
    assert.equal(started, 1);
  });

  it("gives the time that stages were busy since the last call, as a share of what each may do at once", async () => {
    let times = { decodeMs: 100, inferMs: 50 };
    const limits = limitsWith(() => times);
    times = { decodeMs: 160, inferMs: 80 };
    const startedMs = performance.now();
    const releases = await Promise.all(Array.from({ length: 32 }, () => limits.admitFetch("network", 1)));
    await sleep(20);
    for (const release of releases) release();
    const { fetchMs, ...rest } = limits.takeBusy();
    const mostMs = performance.now() - startedMs + 1;
    assert.ok(fetchMs >= 18 && fetchMs <= mostMs, `${fetchMs}`);
    assert.deepEqual(rest, { decodeMs: 30, inferMs: 30, workMs: 0 });
    assert.deepEqual(limits.takeBusy(), { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 });
  });

  it("counts the time in which a chunk is in hand, however many are", async () => {
    const limits = limitsWith(() => ({ decodeMs: 0, inferMs: 0 }));
    const startedMs = performance.now();
    const rests = [limits.working(), limits.working()];
    await sleep(20);
    for (const rest of rests) rest();
    const mostMs = performance.now() - startedMs + 1;
    await sleep(20);
    const { workMs } = limits.takeBusy();
    assert.ok(workMs >= 18 && workMs <= mostMs, `${workMs}`);
    assert.equal(limits.takeBusy().workMs, 0);
  });
});
