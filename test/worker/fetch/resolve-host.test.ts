import assert from "node:assert/strict";
import { createResolveHost } from "../../../src/worker/fetch/resolve-host.js";

describe("worker/fetch/resolve-host", () => {
  it("takes localhost and every name below it for this machine, without asking anybody", async () => {
    const resolve = createResolveHost();
    for (const name of ["localhost", "LocalHost.", "a.b.localhost"])
      assert.deepEqual(await resolve(name), ["127.0.0.1", "::1"], name);
  });
});
