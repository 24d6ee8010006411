import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { resolveCall } from "../../src/library/context.js";

describe("library/context", () => {
  it("completes a call, and keeps what the caller gave", () => {
    const context = resolveCall({ topK: 3, cacheDir: "/models" });
    assert.deepEqual([context.options.topK, context.options.chunkSize, context.places.cacheDir], [3, 256, "/models"]);
    assert.equal(resolveCall({}).signal.aborted, false);
  });

  it("makes the caller's signal one whose reason is the error that callers see", () => {
    const stop = new AbortController();
    const early = resolveCall({ signal: stop.signal }).signal;
    stop.abort();
    for (const signal of [early, resolveCall({ signal: stop.signal }).signal]) {
      assert.throws(() => signal.throwIfAborted(), { code: "RUN_INTERRUPTED", exitCode: 130 });
    }
  });

  it("lets go of the caller's signal", () => {
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, "abort").length;
    const context = resolveCall({ signal });
    assert.equal(listeners(), 1);
    context.release();
    assert.equal(listeners(), 0);
  });

  it("checks options as the command line does", () => {
    assert.throws(() => resolveCall({ topK: 0 }), { code: "OPTION_INVALID", message: /Expected `topK` .* got `0`/ });
  });
});
