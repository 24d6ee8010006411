import assert from "node:assert/strict";
import { startCli } from "../support/cli.js";

describe("cli/main", function () {
  this.timeout(60_000);

  it("prints help into a pipe whose reader is gone without an error", async () => {
    const help = startCli(["schedule", "add", "--help"]);
    help.process.stdout?.destroy();
    const { code } = await help.result;
    assert.deepEqual([code, help.stderr()], [0, ""]);
  });
});
