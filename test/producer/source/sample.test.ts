import assert from "node:assert/strict";
import { openSample } from "../../../src/producer/source/sample.js";
import type { Source } from "../../../src/producer/source/source.js";
import { numberedSource } from "../../support/run-harness.js";
import { collect } from "../../support/temp-dir.js";

const drawn = async (count: number, size: number, seed: number) =>
  (await collect(openSample(numberedSource(count), { size, seed }).items(null))).map(({ uri }) => Number(uri.slice(3)));

describe("producer/source/sample", () => {
  it("draws so many different items, in their order, the same ones for the same seed", async () => {
    const sample = await drawn(1_000, 50, 7);
    assert.equal(new Set(sample).size, 50);
    assert.deepEqual(
      sample,
      sample.toSorted((a, b) => a - b),
    );
    assert.deepEqual(await drawn(1_000, 50, 7), sample);
    assert.notDeepEqual(await drawn(1_000, 50, 8), sample);
  });

  it("gives all items where there are no more", async () => {
    assert.deepEqual(await drawn(3, 50, 7), [0, 1, 2]);
    assert.deepEqual(await drawn(0, 50, 7), []);
  });

  it("draws each item about as often as any other", async () => {
    const times = new Array<number>(40).fill(0);
    for (let seed = 0; seed < 2_000; seed += 1)
      for (const i of await drawn(40, 10, seed)) times[i] = (times[i] ?? 0) + 1;
    // Each is drawn 500 times on average, with a standard deviation of 19.4; five of those on either side.
    for (const [i, n] of times.entries()) assert.ok(n > 403 && n < 597, `item ${i} was drawn ${n} times`);
  });

  it("goes on after any item, drawn anew", async () => {
    const items = await collect(openSample(numberedSource(100), { size: 10, seed: 3 }).items(null));
    for (const [i, { token }] of items.entries()) {
      const again = openSample(numberedSource(100), { size: 10, seed: 3 });
      assert.deepEqual(await collect(again.items(token)), items.slice(i + 1));
    }
  });

  it("stops drawing where the command is interrupted", async () => {
    const controller = new AbortController();
    let given = 0;
    const source: Source = {
      ...numberedSource(100),
      async *items(after) {
        for await (const item of numberedSource(100).items(after)) {
          if (++given === 50) controller.abort(new Error("interrupted"));
          yield item;
        }
      },
    };
    await assert.rejects(
      collect(openSample(source, { size: 10, seed: 3 }, controller.signal).items(null)),
      /interrupted/,
    );
    assert.equal(given, 50);
  });

  it("does not go on where the source has changed", async () => {
    const [first] = await collect(openSample(numberedSource(100), { size: 10, seed: 3 }).items(null));
    const changed = openSample(numberedSource(101), { size: 10, seed: 4 });
    await assert.rejects(collect(changed.items(first?.token ?? "")), { code: "RUN_SOURCE_CHANGED" });
  });
});
