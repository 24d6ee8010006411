import assert from "node:assert/strict";
import { removeRun } from "labelmill";
import { runPrefix } from "../../src/shared/job.js";
import { controlRun } from "../../src/shared/run-control.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { submitRun } from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

describe("library/runs", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  it("removes what a cancel that was killed has left of the queue, with the record of the run", async () => {
    const { head } = await submitRun(server.redis, tempDir());
    // Without what follows it: the removal of the queue.
    await controlRun(server.redis, head, "cancel");
    assert.equal(await server.queueOf(head.runId).count(), 3);
    const { changed } = await removeRun(head.runId, { redisUrl: server.url });
    assert.equal(changed, true);
    const left = await server.redis.keys(`${runPrefix(head.runId)}*`);
    assert.deepEqual(left, []);
  });
});
