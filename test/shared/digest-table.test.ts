import assert from "node:assert/strict";
import { createDigestTable } from "../../src/shared/digest-table.js";

describe("shared/digest-table", () => {
  it("numbers different keys in the order in which they come, and finds them again", () => {
    const table = createDigestTable(1_000);
    for (let i = 0; i < 1_000; i += 1) assert.equal(table.put(`id ${i}`, "uri"), i);
    for (let i = 0; i < 1_000; i += 1) assert.equal(table.put(`id ${i}`, "uri"), i);
    assert.deepEqual([table.find("id 999", "uri"), table.find("id 999", "other"), table.count()], [999, -1, 1_000]);
  });

  it("keeps apart keys whose texts are the same when they are put together", () => {
    const table = createDigestTable(3);
    assert.deepEqual([table.put("ab", "c"), table.put("a", "bc"), table.put("abc")], [0, 1, 2]);
  });

  it("refuses a key more than it has room for", () => {
    const table = createDigestTable(1);
    table.put("a");
    assert.throws(() => table.put("b"), /at most 1 keys/);
    assert.equal(table.find("b"), -1);
  });
});
