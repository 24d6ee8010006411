import assert from "node:assert/strict";
import { closeOnFailure } from "../../../../src/worker/model/engines/close-on-failure.js";
import type { Engine } from "../../../../src/worker/model/engines/engine.js";

describe("worker/model/engines/close-on-failure", () => {
  it("closes an engine that cannot be used, with the reason, and leaves one open that can", async () => {
    const closed: string[] = [];
    const engineOf = (name: string): Engine => ({
      name,
      embeddingWidth: 1,
      classes: 1,
      infer: () => Promise.reject(new Error("no kernel")),
      close: async () => void closed.push(name),
    });
    await assert.rejects(
      closeOnFailure(engineOf("bad"), (engine) => engine.infer(new Uint8Array(1), 1)),
      /no kernel/,
    );
    assert.equal(await closeOnFailure(engineOf("good"), async ({ name }) => name), "good");
    assert.deepEqual(closed, ["bad"]);
  });
});
