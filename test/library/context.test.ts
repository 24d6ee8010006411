import assert from "node:assert/strict";
import { resolveCall } from "../../src/library/context.js";

describe("library/context", () => {
  it("completes a call, and keeps what the caller gave", () => {
    const { signal } = new AbortController();
    const context = resolveCall({ signal, topK: 3, cacheDir: "/models" });
    assert.equal(context.signal, signal);
    assert.deepEqual([context.options.topK, context.options.chunkSize, context.places.cacheDir], [3, 256, "/models"]);
    assert.equal(resolveCall({}).signal.aborted, false);
  });

  it("checks options as the command line does", () => {
    assert.throws(() => resolveCall({ topK: 0 }), { code: "OPTION_INVALID", message: /Expected `topK` .* got `0`/ });
  });
});
