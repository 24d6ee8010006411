import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { hearThread } from "../../src/worker/hear-thread.js";

const start = (code: string) =>
  new Worker(`const { parentPort } = require("node:worker_threads"); ${code}`, { eval: true });

describe("worker/hear-thread", () => {
  it("gives the answer to each message", async () => {
    const worker = start(`parentPort.on("message", (n) => parentPort.postMessage(n + 1))`);
    const words = hearThread<number>(worker);
    for (const n of [1, 2, 3]) {
      worker.postMessage(n);
      assert.equal(await words.next(), n + 1);
    }
    await worker.terminate();
  });

  it("listens no more often for many messages than for one", async () => {
    const worker = start(`parentPort.on("message", (n) => parentPort.postMessage(n))`);
    const words = hearThread<number>(worker);
    for (let n = 0; n < 20; n += 1) {
      worker.postMessage(n);
      await words.next();
    }
    for (const event of ["message", "error", "exit"]) assert.equal(worker.listenerCount(event), 1);
    await worker.terminate();
  });

  it("rejects with what the thread throws, also a later call", async () => {
    const words = hearThread(start(`throw new Error("told to")`));
    await assert.rejects(words.next(), /told to/);
    await assert.rejects(words.next(), /told to/);
  });

  it("rejects where the thread ends, also if nobody waited for it then", async () => {
    const worker = start("process.exit(7)");
    const words = hearThread(worker);
    await once(worker, "exit");
    await assert.rejects(words.next(), { message: "the thread ended with code 7" });
  });
});
