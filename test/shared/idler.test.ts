import assert from "node:assert/strict";
import { createIdler } from "../../src/shared/idler.js";

describe("shared/idler", () => {
  const long = 60_000;

  it("waits until it is ended, and an end between two waits is not lost", async () => {
    const idle = createIdler(new AbortController().signal);
    const waiting = idle.wait(long);
    idle.end();
    await waiting;
    idle.end();
    await idle.wait(long);
    const startedMs = performance.now();
    await idle.wait(20);
    assert.ok(performance.now() - startedMs >= 19);
  });

  it("waits no more once its signal has aborted", async () => {
    const controller = new AbortController();
    const idle = createIdler(controller.signal);
    const waiting = idle.wait(long);
    controller.abort();
    await waiting;
    await idle.wait(long);
  });
});
