import assert from "node:assert/strict";
import { openPullProgress } from "../../src/cli/pull-progress.js";
import { fakeTerminal } from "../support/terminal.js";

const mebibyte = 2 ** 20;

describe("cli/pull-progress", () => {
  const pull = (view: ReturnType<typeof openPullProgress>) => {
    for (let received = 0; received <= 40; received += 1) {
      view({ receivedBytes: received * mebibyte, totalBytes: 40 * mebibyte });
    }
  };

  it("logs a line each quarter where nobody watches", () => {
    const { terminal, written } = fakeTerminal();
    pull(openPullProgress(terminal));
    const shown = written()
      .trim()
      .split("\n")
      .map((line) => line.replace(/^.*fetched/, "fetched"));
    assert.deepEqual(
      shown,
      [10, 20, 30, 40].map((n) => `fetched ${n} of 40 MiB`),
    );
  });

  it("writes one line over and over on a terminal, and ends it at the end", () => {
    const { terminal, written } = fakeTerminal(80);
    pull(openPullProgress(terminal));
    assert.match(written(), /^fetched 0 of 40 MiB \(0 %\)\rfetched 1 of 40 MiB \(2 %\)\r.*40 of 40 MiB \(100 %\)\n$/s);
    assert.equal(written().split("\n").length, 2);
  });
});
