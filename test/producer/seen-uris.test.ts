import assert from "node:assert/strict";
import { createSeenUris } from "../../src/producer/seen-uris.js";

describe("producer/seen-uris", () => {
  it("knows each uri that was added, over any number of growths, and no other", () => {
    const seen = createSeenUris();
    const count = 50_000;
    for (let i = 0; i < count; i += 1) assert.equal(seen.add(`/i/${i}`), true);
    for (let i = 0; i < count; i += 1) assert.equal(seen.add(`/i/${i}`), false);
    assert.equal(seen.add("/other"), true);
    assert.equal(seen.add(""), true);
  });

  it("says how many it can hold before it takes more memory than that", () => {
    const seen = createSeenUris(8_192);
    const add = () => {
      for (let i = 0; i < 10_000; i += 1) seen.add(`/i/${i}`);
    };
    assert.throws(add, { code: "RUN_DEDUPE_FULL", message: /More than 6144 distinct uris/ });
  });
});
