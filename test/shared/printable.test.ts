import assert from "node:assert/strict";
import { printable, printableLines } from "../../src/shared/printable.js";

describe("shared/printable", () => {
  it("writes what would command a terminal as escapes, and leaves all else", () => {
    assert.equal(printable("\x1b[31mred\x07\x9b0m\r\n"), "\\u001b[31mred\\u0007\\u009b0m\\u000d\\u000a");
    assert.equal(printable("Ärger – 猫 🐈"), "Ärger – 猫 🐈");
  });

  it("keeps the lines of a text", () => {
    assert.equal(printableLines("a\x1b\nb"), "a\\u001b\nb");
  });
});
