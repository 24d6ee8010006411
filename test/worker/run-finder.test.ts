import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { enqueueRun, registerRun } from "../../src/producer/enqueue.js";
import { type Log, silentLog } from "../../src/shared/log.js";
import { commitChunk, readRun } from "../../src/shared/run-record.js";
import { sampleIdentity } from "../dataset/samples.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import {
  completed,
  numberedSource,
  startTestConsumer,
  submitRun,
  testOutages,
  testPolicy,
} from "../support/run-harness.js";
import { useTempDir } from "../support/temp-dir.js";

const signal = new AbortController().signal;

describe("worker/run-finder", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(() => server.close());

  const keepReasons = () => {
    const reasons: unknown[] = [];
    const warn: Log["warn"] = (_message, details) => void reasons.push(details?.reason);
    return { reasons, log: { ...silentLog, warn } };
  };

  it("finds runs that are submitted while it works, and forgets those that are complete", async () => {
    const consumer = startTestConsumer(server.redis);
    const first = await submitRun(server.redis, join(tempDir(), "a"));
    await completed(first);
    const second = await submitRun(server.redis, join(tempDir(), "b"));
    await completed(second);
    await consumer.drain(1_000);
    assert.equal((await readRun(server.redis, second.head.runId))?.state, "completed");
  });

  it("leaves runs that it cannot serve, naming each reason once, and serves the others", async () => {
    const other = openStorage(join(tempDir(), "model"));
    const int8 = { precision: "int8", modelSha256: "f".repeat(64) } as const;
    const { head } = await createRunHead(other, { ...sampleIdentity, sources: ["/i"], ...int8 });
    await registerRun({ head, storage: other, redis: server.redis, policy: testPolicy });
    const outside = openStorage(join(tempDir(), "outside"));
    const { head: outsideHead } = await createRunHead(outside, { ...sampleIdentity, sources: ["/images"] });
    await registerRun({ head: outsideHead, storage: outside, redis: server.redis, policy: testPolicy });
    await submitRun(server.redis, join(tempDir(), "gone"));
    await rm(join(tempDir(), "gone"), { recursive: true });
    const { reasons, log } = keepReasons();
    const consumer = startTestConsumer(server.redis, { log });
    await completed(await submitRun(server.redis, join(tempDir(), "good")));
    while (reasons.length < 3) await sleep(10);
    await sleep(2_200);
    await consumer.drain(1_000);
    assert.equal(reasons.length, 3, String(reasons));
    const text = reasons.join("\n");
    assert.match(
      text,
      /it needs model resnet50 in int8 with digest f{64}, this worker has resnet50 in fp32 with digest/,
    );
    assert.match(text, /its source \/images is not below an --allow-root/);
    assert.match(text, /no readable run\.json/);
  });

  it("serves runs of buckets, web addresses and stdin, which lie below no root", async () => {
    const storage = openStorage(tempDir());
    const { head } = await createRunHead(storage, {
      ...sampleIdentity,
      sources: ["s3://bucket/a/", "https://example.org/list.txt", "-"],
      chunkSize: 4,
    });
    const source = numberedSource(4, (i) => `s3://bucket/a/${i}.jpg`);
    const run = { head, storage, redis: server.redis, source, outages: testOutages, signal, policy: testPolicy };
    await registerRun(run);
    await enqueueRun(run);
    const consumer = startTestConsumer(server.redis);
    await completed(run);
    await consumer.drain(1_000);
  });

  it("takes a run up again whose record was lost and made again", async () => {
    const run = await submitRun(server.redis, tempDir());
    const { head, storage, source } = run;
    const consumer = startTestConsumer(server.redis);
    await completed(run);
    await rm(join(tempDir(), "summary.json"));
    await rm(join(tempDir(), "parts/part-00000001.parquet"));
    await server.redis.flushall();
    await sleep(1_200);
    await registerRun({ head, storage, redis: server.redis, policy: testPolicy });
    await enqueueRun({ head, storage, redis: server.redis, source, outages: testOutages, signal });
    await completed(run);
    await consumer.drain(1_000);
    const { ok, made, doneChunks } = (await readRun(server.redis, head.runId)) ?? {};
    assert.deepEqual({ ok, made, doneChunks }, { ok: 12, made: 4, doneChunks: 3 });
  });

  it("serves the others where the summary of one run cannot be written, and says so once", async () => {
    const bad = await submitRun(server.redis, join(tempDir(), "bad"), { count: 4 });
    // Every chunk is counted by another worker, and something lies in the summary's place.
    const busy = { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 };
    await commitChunk(server.redis, bad.head, {
      chunk: 0,
      ok: 4,
      failed: 0,
      failuresByCode: {},
      duplicates: 0,
      busy,
      engine: null,
    });
    await mkdir(join(tempDir(), "bad/summary.json"));
    const { reasons, log } = keepReasons();
    const consumer = startTestConsumer(server.redis, { log });
    while (reasons.length < 1) await sleep(10);
    await sleep(2_200);
    await completed(await submitRun(server.redis, join(tempDir(), "good")));
    await consumer.drain(1_000);
    assert.equal(reasons.length, 1, String(reasons));
    assert.match(String(reasons[0]), /summary\.json/);
  });

  it("serves the others where a dataset lies on a mount that hangs, which it waits for once", async () => {
    const hung = await submitRun(server.redis, join(tempDir(), "hung"));
    const head = join(tempDir(), "hung/run.json");
    const bytes = await readFile(head);
    // Opening a FIFO waits for its writer, as a mount does for its server.
    await rm(head);
    execFileSync("mkfifo", [head]);
    const { reasons, log } = keepReasons();
    const consumer = startTestConsumer(server.redis, { log });
    try {
      while (reasons.length < 1) await sleep(10);
      await completed(await submitRun(server.redis, join(tempDir(), "good")));
      assert.match(String(reasons), /its dataset or its record does not answer within 5 s/);
    } finally {
      await writeFile(head, bytes);
    }
    await rm(head);
    await writeFile(head, bytes);
    await completed(hung);
    assert.equal(reasons.length, 1, String(reasons));
    await consumer.drain(1_000);
  });
});
