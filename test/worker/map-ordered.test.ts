import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { mapAsDone, mapOrdered } from "../../src/worker/map-ordered.js";
import { Slots } from "../../src/worker/slots.js";
import { collect } from "../support/temp-dir.js";

const numbers = Array.from({ length: 20 }, (_, i) => i);
const never = new AbortController().signal;

describe("worker/map-ordered", () => {
  it("keeps the source's order however long each takes, and works on several at once", async () => {
    let running = 0;
    let most = 0;
    const work = async (n: number) => {
      running += 1;
      most = Math.max(most, running);
      await sleep((n * 7) % 5);
      running -= 1;
      return n * 2;
    };
    const results = await collect(mapOrdered(numbers, { slots: new Slots(4), order: 0, signal: never, work }));
    assert.deepEqual(
      results,
      numbers.map((n) => n * 2),
    );
    assert.equal(most, 4);
  });

  it("gives each result as soon as there is one, where asked to", async () => {
    const work = async (n: number) => sleep(n === 0 ? 40 : 1, n);
    const results = await collect(mapAsDone([0, 1, 2, 3], { slots: new Slots(4), order: 0, signal: never, work }));
    assert.deepEqual([results.at(-1), results.length], [0, 4]);
    const broken = mapAsDone(numbers, {
      slots: new Slots(2),
      order: 0,
      signal: never,
      work: () => Promise.reject("no"),
    });
    await assert.rejects(collect(broken), /no/);
  });

  it("throws an error of the work at its turn, and takes no more from the source", async () => {
    const seen: number[] = [];
    const work = async (n: number) => {
      seen.push(n);
      await sleep(1);
      if (n === 3) throw new Error("three");
      return n;
    };
    const results: number[] = [];
    const run = async () => {
      for await (const n of mapOrdered(numbers, { slots: new Slots(2), order: 0, signal: never, work }))
        results.push(n);
    };
    await assert.rejects(run(), /three/);
    await sleep(20);
    assert.deepEqual(results, [0, 1, 2]);
    assert.ok(seen.length < 8, `took ${seen.length}`);
  });

  it("throws the source's own error", async () => {
    async function* broken() {
      yield 1;
      throw new Error("source");
    }
    const mapped = mapOrdered(broken(), { slots: new Slots(2), order: 0, signal: never, work: async (n) => n });
    await assert.rejects(collect(mapped), /source/);
  });

  it("keeps no value that was read, however long the rest takes", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage: () => void = runInNewContext("gc");
    const refs: WeakRef<object>[] = [];
    const work = async () => {
      const value = { bytes: Buffer.alloc(1_000) };
      refs.push(new WeakRef(value));
      return value;
    };
    const mapped = mapOrdered(numbers, { slots: new Slots(2), order: 0, signal: never, work });
    for (let i = 0; i < 10; i += 1) await mapped.next();
    await sleep(10);
    collectGarbage();
    assert.equal(refs.slice(0, 9).filter((ref) => ref.deref() !== undefined).length, 0);
    await mapped.return(undefined);
  });

  it("stops with the signal's reason, and gives every slot back", async () => {
    const slots = new Slots(2);
    const controller = new AbortController();
    const mapped = mapOrdered(numbers, { slots, order: 0, signal: controller.signal, work: async (n) => sleep(5, n) });
    await mapped.next();
    controller.abort(new Error("stop"));
    await assert.rejects(collect(mapped), /stop/);
    await sleep(20);
    await slots.acquire(1);
    await slots.acquire(1);
  });
});
