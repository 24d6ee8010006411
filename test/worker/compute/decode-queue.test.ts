import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../../src/shared/errors.js";
import { createDecodeQueue } from "../../../src/worker/compute/decode-queue.js";
import type { DecodedImage } from "../../../src/worker/compute/protocol.js";
import { failedWith, type Outcome } from "../../../src/worker/outcome.js";

const refused = failedWith(failure("DECODE_CORRUPT", { reason: "test" }));

/** A queue over a decoder that finishes each image when it is told to. */
function setUp(itemTimeoutMs: number) {
  const open = new Map<number, (outcome: Outcome<DecodedImage>) => void>();
  const done: number[] = [];
  const overdue: number[] = [];
  const queue = createDecodeQueue({
    decoder: { decode: (bytes) => new Promise((resolve) => open.set(bytes[0] ?? -1, resolve)) },
    concurrency: 2,
    itemTimeoutMs,
    onDone: (id) => done.push(id),
    onOverdue: (id) => overdue.push(id),
  });
  const push = (id: number): void => queue.push(id, Uint8Array.of(id));
  return { push, open, done, overdue };
}

describe("worker/compute/decode-queue", () => {
  it("decodes a fixed number at once, in order of arrival", async () => {
    const { push, open, done } = setUp(60_000);
    for (const id of [1, 2, 3]) push(id);
    assert.deepEqual([...open.keys()], [1, 2]);
    open.get(2)?.(refused);
    await sleep(0);
    assert.deepEqual(done, [2]);
    assert.deepEqual([...open.keys()], [1, 2, 3]);
    open.get(1)?.(refused);
    open.get(3)?.(refused);
    await sleep(0);
    assert.deepEqual(done.toSorted(), [1, 2, 3]);
  });

  it("names an image whose decode takes too long, counting from its start, and only that one", async () => {
    const { push, open, overdue } = setUp(50);
    push(1);
    push(2);
    open.get(2)?.(refused);
    await sleep(800);
    assert.deepEqual(overdue, [1]);
    open.get(1)?.(refused);
  });
});
