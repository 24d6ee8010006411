import assert from "node:assert/strict";
import { createHostGates, type GateClock, type GateTimer } from "../../../src/worker/fetch/host-gates.js";

const never = new AbortController().signal;

/** A clock that goes on by `advance` alone. */
function handClock(): GateClock & { advance(ms: number): Promise<void> } {
  let now = 0;
  const timers = new Map<GateTimer, { readonly atMs: number; readonly callback: () => void }>();
  return {
    now: () => now,
    start(callback, ms) {
      const timer = { cancel: () => void timers.delete(timer), unref() {} };
      timers.set(timer, { atMs: now + ms, callback });
      return timer;
    },
    async advance(ms) {
      now += ms;
      for (const [timer, { atMs, callback }] of [...timers]) {
        if (atMs <= now && timers.delete(timer)) callback();
      }
      // Whoever was let in notes it in a microtask.
      await new Promise(setImmediate);
    },
  };
}

describe("worker/fetch/host-gates", () => {
  it("lets in so many of a host at once, in the order of asking, and hosts know nothing of each other", async () => {
    const gates = createHostGates({ perHost: 2, rate: null });
    const entered: string[] = [];
    const enter = async (name: string, host: string) => {
      const leave = await gates.enter(host, never);
      entered.push(name);
      return leave;
    };
    const first = await Promise.all([enter("a1", "a"), enter("a2", "a")]);
    const third = enter("a3", "a");
    const fourth = enter("a4", "a");
    (await enter("b1", "b"))();
    assert.deepEqual(entered, ["a1", "a2", "b1"]);
    first[0]?.();
    first[0]?.();
    (await third)();
    (await fourth)();
    first[1]?.();
    assert.deepEqual(entered, ["a1", "a2", "b1", "a3", "a4"]);
    assert.equal(gates.size, 0, "an idle gate is let go");
  });

  it("keeps to a rate", async () => {
    const clock = handClock();
    const gates = createHostGates({ perHost: 8, rate: 50 }, clock);
    const entered: number[] = [];
    const enter = async () => {
      const leave = await gates.enter("a", never);
      entered.push(clock.now());
      leave();
    };
    const all = Promise.all(Array.from({ length: 3 }, enter));
    for (const ms of [0, ...Array<number>(8).fill(10)]) await clock.advance(ms);
    await all;
    assert.deepEqual(entered, [0, 20, 40]);
    assert.equal(gates.size, 0);
  });

  it("keeps to a pause that a host asks for, and no other host does", async () => {
    const clock = handClock();
    const gates = createHostGates({ perHost: 8, rate: null }, clock);
    gates.pause("a", 100);
    let isIn = false;
    const entering = gates.enter("a", never).then((leave) => {
      isIn = true;
      leave();
    });
    (await gates.enter("b", never))();
    await clock.advance(99);
    assert.ok(!isIn);
    await clock.advance(1);
    await entering;
    assert.equal(gates.size, 0);
  });

  it("turns away who waits at a closed gate and who comes there, until it opens", async () => {
    const clock = handClock();
    const gates = createHostGates({ perHost: 1, rate: null }, clock);
    const leave = await gates.enter("a", never);
    const waiting = [gates.enter("a", never), gates.enter("a", never)];
    gates.close("a", 100, new Error("busy"));
    for (const each of waiting) await assert.rejects(each, /busy/);
    leave();
    (await gates.enter("b", never))();
    await clock.advance(99);
    await assert.rejects(gates.enter("a", never), /busy/);
    await clock.advance(1);
    assert.equal(gates.size, 0);
    (await gates.enter("a", never))();
  });

  it("forgets who gives up waiting", async () => {
    const gates = createHostGates({ perHost: 1, rate: null });
    const leave = await gates.enter("a", never);
    const controller = new AbortController();
    const waiting = gates.enter("a", controller.signal);
    controller.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(gates.enter("a", controller.signal), /enough/);
    leave();
    assert.equal(gates.size, 0);
    (await gates.enter("a", never))();
  });
});
