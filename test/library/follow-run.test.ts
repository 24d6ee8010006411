import assert from "node:assert/strict";
import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { resolveCall } from "../../src/library/context.js";
import { followRun } from "../../src/library/follow-run.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { useTempDir } from "../support/temp-dir.js";

describe("library/follow-run", function () {
  this.timeout(60_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  it("waits for storage that is away just as the run has ended, and says so", async () => {
    const summary = join(tempDir(), "summary.json");
    await symlink(summary, summary);
    const said: string[] = [];
    const log = (level: string) => (message: string) => {
      said.push(`${level} ${message}`);
      // It is back.
      if (level === "warn") void rm(summary);
    };
    const sinks = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
    const context = resolveCall({ log: sinks });
    const end = await followRun({ context, redis: server.redis, runId: "20261124-00000000", out: tempDir() });
    assert.deepEqual(
      [end?.state, end?.reason],
      ["failed", "its record is gone from Redis, and its dataset is not complete"],
    );
    assert.match(said.join("\n"), /^warn waiting: .*\ninfo no longer waiting$/);
  });
});
