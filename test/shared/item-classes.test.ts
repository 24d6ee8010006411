import assert from "node:assert/strict";
import { openOnly, parseOnly } from "../../src/shared/item-classes.js";

describe("shared/item-classes", () => {
  it("puts the classes of --only in one order, each once", () => {
    assert.deepEqual(parseOnly(["failed:LIMIT_TIME", " failed", "new", "failed", "failed:FETCH_DNS"]), [
      ...["new", "failed", "failed:FETCH_DNS", "failed:LIMIT_TIME"],
    ]);
  });

  it("refuses words that are no class, codes that no row has, and none at all", () => {
    for (const words of [["news"], ["failed:RUN_STATE"], ["failed:"], ["failed:toString"], ["new", ""], []])
      assert.equal(parseOnly(words), null);
  });

  it("means by failed every code, and by failed:CODE that one", () => {
    assert.equal(openOnly(["failed"]).hasCode("FETCH_DNS"), true);
    const one = openOnly(["failed:FETCH_DNS"]);
    assert.deepEqual([one.hasCode("FETCH_DNS"), one.hasCode("LIMIT_TIME"), one.has("failed")], [true, false, false]);
  });
});
