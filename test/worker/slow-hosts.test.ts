import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { succeeded } from "../../src/worker/outcome.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  assertSound,
  completed,
  fetchedAs,
  numberedSource,
  somePrediction,
  startTestConsumer,
  submitRun,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

describe("worker/slow-hosts", function () {
  this.timeout(60_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  it("takes more chunks while all in hand waits for web servers, so that a dead host holds up no other", async () => {
    let answer = () => {};
    const dead = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const fetched: string[] = [];
    const fetch = async (uri: string) => {
      if (uri.startsWith("http://dead/")) await dead;
      fetched.push(uri);
      if (fetched.length === 8) answer();
      return succeeded(fetchedAs(uri));
    };
    // Chunks of two: the first four are of the dead host, which answers when all others have.
    const source = numberedSource(16, (i) => `http://${i < 8 ? "dead" : "live"}/${i}`);
    const run = await submitRun(server.redis, tempDir(), { chunkSize: 2, source });
    const consumer = startTestConsumer(server.redis, { fetcher: { fetch }, chunksInFlight: 2 });
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 16);
    assert.ok(fetched.slice(0, 8).every((uri) => uri.startsWith("http://live/")));
  });

  it("takes no more than its chunks in flight while the model has work", async () => {
    let isBusy = true;
    let fetched = 0;
    const fetch = async (uri: string) => {
      fetched += 1;
      while (isBusy && uri.endsWith("/0")) await sleep(5);
      return succeeded(fetchedAs(uri));
    };
    const predict = async () => {
      while (isBusy) await sleep(5);
      return succeeded(somePrediction);
    };
    const source = numberedSource(120, (i) => `http://live/${i}`);
    const run = await submitRun(server.redis, tempDir(), { chunkSize: 40, source });
    const consumer = startTestConsumer(server.redis, { fetcher: { fetch }, predict, chunksInFlight: 1 });
    while (fetched < 40) await sleep(5);
    await sleep(1_000);
    assert.equal(fetched, 40);
    isBusy = false;
    await completed(run);
    await consumer.drain(1_000);
    await assertSound(run, 120);
  });
});
