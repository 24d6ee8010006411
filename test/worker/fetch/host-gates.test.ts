import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createHostGates } from "../../../src/worker/fetch/host-gates.js";

const never = new AbortController().signal;

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

  it("keeps to a rate, and to a pause that a host asks for", async () => {
    const gates = createHostGates({ perHost: 8, rate: 50 });
    const startedMs = performance.now();
    for (let i = 0; i < 5; i += 1) (await gates.enter("a", never))();
    assert.ok(performance.now() - startedMs >= 4 * 20 - 2, "five at 50 a second take 80 ms");
    gates.pause("a", 100);
    const pausedMs = performance.now();
    (await gates.enter("b", never))();
    assert.ok(performance.now() - pausedMs < 90, "another host does not pause");
    (await gates.enter("a", never))();
    assert.ok(performance.now() - pausedMs >= 99);
    await sleep(60);
    assert.equal(gates.size, 0);
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
