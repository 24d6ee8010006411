import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import type { ComputeClient } from "../../src/worker/compute-client/client.js";
import { createProcessLimits } from "../../src/worker/process-limits.js";

const settings = { decodeConcurrency: 2, batchSize: 8, children: 1 };
const limitsWith = (times: () => Partial<ReturnType<ComputeClient["times"]>>) =>
  createProcessLimits(settings, {
    times: () => ({ decodeMs: 0, inferMs: 0, batches: 0, images: 0, restarts: 0, ...times() }),
  } as ComputeClient);

describe("worker/process-limits", () => {
  it("starts no fetch while too many bytes are held, and goes on when they are let go", async () => {
    const limits = limitsWith(() => ({}));
    let started = 0;
    const fetch = () => limits.fetchSlots.acquire(1).then(() => (started += 1));
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

  it("gives the time that stages were busy since the last call, as a share of what each may do at once", () => {
    let times = { decodeMs: 100, inferMs: 50 };
    const limits = limitsWith(() => times);
    times = { decodeMs: 160, inferMs: 80 };
    limits.addFetchTime(32);
    assert.deepEqual(limits.takeBusy(), { fetchMs: 2, decodeMs: 30, inferMs: 30 });
    assert.deepEqual(limits.takeBusy(), { fetchMs: 0, decodeMs: 0, inferMs: 0 });
  });
});
