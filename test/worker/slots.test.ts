import assert from "node:assert/strict";
import { Slots } from "../../src/worker/slots.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("worker/slots", () => {
  it("lets no more than its size work at once, over all users", async () => {
    const slots = new Slots(3);
    let running = 0;
    let most = 0;
    const work = async (order: number) => {
      const release = await slots.acquire(order);
      running += 1;
      most = Math.max(most, running);
      await settled();
      running -= 1;
      release();
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => work(i % 4)));
    assert.equal(most, 3);
  });

  it("serves the oldest chunk first, and equals in the order of asking", async () => {
    const slots = new Slots(1);
    const first = await slots.acquire(9);
    const served: string[] = [];
    for (const name of ["2a", "1a", "2b", "1b"]) {
      void slots.acquire(Number(name[0])).then((release) => {
        served.push(name);
        release();
      });
    }
    first();
    await settled();
    assert.deepEqual(served, ["1a", "1b", "2a", "2b"]);
  });

  it("holds work back until it may start", async () => {
    let open = false;
    const slots = new Slots(1, () => open);
    let started = false;
    void slots.acquire(0).then(() => {
      started = true;
    });
    await settled();
    assert.equal(started, false);
    open = true;
    slots.wake();
    await settled();
    assert.equal(started, true);
  });

  it("ignores a second release of the same slot", async () => {
    const slots = new Slots(1);
    const release = await slots.acquire(0);
    release();
    release();
    await slots.acquire(0);
    let second = false;
    void slots.acquire(0).then(() => {
      second = true;
    });
    await settled();
    assert.equal(second, false);
  });

  it("says whether it is idle, or full", async () => {
    let isOpen = false;
    const slots = new Slots(2, () => isOpen);
    const states = () => [slots.isIdle, slots.isFull];
    assert.deepEqual(states(), [true, false]);
    const held = slots.acquire(0);
    assert.deepEqual(states(), [false, true], "one waits though both are free");
    isOpen = true;
    slots.wake();
    assert.deepEqual(states(), [false, false]);
    await slots.acquire(0);
    assert.deepEqual(states(), [false, true]);
    (await held)();
    assert.deepEqual(states(), [false, false]);
  });
});
