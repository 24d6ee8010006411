import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../../src/shared/errors.js";
import { createDecodeQueue } from "../../../src/worker/compute/decode-queue.js";
import type { DecodedImage } from "../../../src/worker/compute/protocol.js";
import { failedWith, type Outcome, succeeded } from "../../../src/worker/outcome.js";

const decoded = succeeded<DecodedImage>({ width: 1, height: 1, format: "png", pixels: new Uint8Array(3) });
const failedBeside = failedWith(failure("DECODE_CORRUPT", { reason: "of a neighbour" }));
const failedAlone = failedWith(failure("DECODE_TRUNCATED", { reason: "its own" }));

/** A queue over a decoder that finishes each image when it is told to. */
function setUp(itemTimeoutMs: number) {
  const open = new Map<number, (outcome: Outcome<DecodedImage>) => void>();
  const done: number[] = [];
  const outcomes = new Map<number, Outcome<DecodedImage>>();
  const overdue: number[] = [];
  const queue = createDecodeQueue({
    decoder: { decode: (bytes) => new Promise((resolve) => open.set(bytes[0] ?? -1, resolve)) },
    concurrency: 2,
    itemTimeoutMs,
    onDone: (id, outcome) => {
      done.push(id);
      outcomes.set(id, outcome);
    },
    onOverdue: (id) => overdue.push(id),
  });
  const push = (id: number): void => queue.push(id, Uint8Array.of(id));
  return { push, open, done, outcomes, overdue };
}

describe("worker/compute/decode-queue", () => {
  it("decodes a fixed number at once, in order of arrival", async () => {
    const { push, open, done } = setUp(60_000);
    for (const id of [1, 2, 3]) push(id);
    assert.deepEqual([...open.keys()], [1, 2]);
    open.get(2)?.(decoded);
    await sleep(0);
    assert.deepEqual(done, [2]);
    assert.deepEqual([...open.keys()], [1, 2, 3]);
    open.get(1)?.(decoded);
    open.get(3)?.(decoded);
    await sleep(0);
    assert.deepEqual(done.toSorted(), [1, 2, 3]);
  });

  it("takes what a failed image says when it is decoded alone, and starts nothing beside that", async () => {
    const { push, open, done, outcomes } = setUp(60_000);
    for (const id of [1, 2, 3]) push(id);
    open.get(1)?.(failedBeside);
    open.delete(1);
    await sleep(0);
    assert.deepEqual([...open.keys()], [2], "neither the failed image nor a new one may start beside image 2");
    open.get(2)?.(decoded);
    open.delete(2);
    await sleep(0);
    assert.deepEqual([...open.keys()], [1], "the failed image is alone");
    open.get(1)?.(failedAlone);
    open.delete(1);
    await sleep(0);
    assert.deepEqual([...open.keys()], [3]);
    open.get(3)?.(decoded);
    await sleep(0);
    assert.deepEqual(done, [2, 1, 3]);
    assert.deepEqual(outcomes.get(1), failedAlone);
  });

  it("names an image whose decode takes too long, counting from its start, and only that one", async () => {
    const { push, open, overdue } = setUp(50);
    push(1);
    push(2);
    open.get(2)?.(decoded);
    while (overdue.length === 0) await sleep(10);
    await sleep(800);
    assert.deepEqual(overdue, [1]);
    open.get(1)?.(decoded);
  });
});
