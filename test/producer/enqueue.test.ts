import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Queue } from "bullmq";
import { type PinnedItem, readSealed, readSegments } from "../../src/dataset/items.js";
import { createRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { enqueueRun, registerRun, requeueLostChunks, requireItems } from "../../src/producer/enqueue.js";
import { openSources } from "../../src/producer/source/open-source.js";
import type { Source } from "../../src/producer/source/source.js";
import { queueName, runPrefix } from "../../src/shared/job.js";
import { resolveOptions } from "../../src/shared/options.js";
import { readRun } from "../../src/shared/run-record.js";
import { sampleIdentity } from "../dataset/samples.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { numberedSource, testOutages, testPolicy } from "../support/run-harness.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const never = new AbortController().signal;

describe("producer/enqueue", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());
  afterEach(() => server.redis.flushall());

  async function newRun(limit: number | null = null, out = tempDir(), dedupe: "none" | "uri" = "none") {
    const storage = openStorage(out);
    const { head } = await createRunHead(storage, { ...sampleIdentity, sources: ["/i"], chunkSize: 3, limit, dedupe });
    await registerRun({ head, storage, redis: server.redis, policy: testPolicy });
    return { head, storage, redis: server.redis, outages: testOutages };
  }
  const pinned = async (): Promise<PinnedItem[]> =>
    (await collect(readSegments(openStorage(tempDir())))).flatMap(({ items }) => items);
  const uris = async () => (await pinned()).map(({ uri }) => uri);
  const queued = async (runId: string) => {
    const queue = new Queue(queueName, { connection: server.redis, prefix: runPrefix(runId) });
    const jobs = await queue.getJobs(["wait"], 0, -1, true);
    await queue.close();
    return jobs.map((job) => job.data.chunk);
  };
  const expected = (count: number) => Array.from({ length: count }, (_, i) => `/i/${i}`);

  it("pins every item in order, queues every chunk once and in order, and seals", async () => {
    const run = await newRun();
    const sealed = await enqueueRun({ ...run, source: numberedSource(20), signal: never });
    assert.deepEqual([sealed.items, sealed.chunks], [20, 7]);
    assert.deepEqual(await uris(), expected(20));
    assert.deepEqual(await queued(run.head.runId), [0, 1, 2, 3, 4, 5, 6]);
    assert.equal((await readRun(server.redis, run.head.runId))?.state, "running");
  });

  it("goes on after an interrupt with exactly the items of an uninterrupted run", async () => {
    const run = await newRun();
    const controller = new AbortController();
    const onPinned = ({ items }: { items: number }) => {
      if (items >= 9) controller.abort();
    };
    const interrupted = enqueueRun({ ...run, source: numberedSource(40), signal: controller.signal, onPinned });
    await assert.rejects(interrupted, { code: "RUN_INTERRUPTED" });
    assert.equal((await uris()).length, 9);
    assert.equal(await readSealed(run.storage), null);
    await enqueueRun({ ...run, source: numberedSource(40), signal: never });
    assert.deepEqual(await uris(), expected(40));
    assert.equal((await queued(run.head.runId)).length, 14);
  });

  it("pins the list once where two producers work at the same time", async () => {
    const run = await newRun();
    const slow: Source = {
      ...numberedSource(30),
      async *items(after) {
        for await (const item of numberedSource(30).items(after)) {
          await new Promise((resolve) => setImmediate(resolve));
          yield item;
        }
      },
    };
    const both = await Promise.all([slow, slow].map((source) => enqueueRun({ ...run, source, signal: never })));
    assert.deepEqual(both[0], both[1]);
    assert.deepEqual(await uris(), expected(30));
    assert.deepEqual(await queued(run.head.runId), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("takes no more than the limit, also over an interrupt", async () => {
    const run = await newRun(10);
    const controller = new AbortController();
    const onPinned = ({ items }: { items: number }) => {
      if (items >= 9) controller.abort();
    };
    const interrupted = enqueueRun({ ...run, source: numberedSource(40), signal: controller.signal, onPinned });
    await assert.rejects(interrupted, { code: "RUN_INTERRUPTED" });
    const sealed = await enqueueRun({ ...run, source: numberedSource(40), signal: never });
    assert.deepEqual([sealed.items, sealed.chunks], [10, 4]);
    assert.deepEqual(await uris(), expected(10));
  });

  it("seals at once where the limit was reached before the interrupt", async () => {
    const run = await newRun(9);
    const controller = new AbortController();
    // Ends in the middle of the pass, as by kill -9: the last segment is pinned, the list is not sealed.
    const onPinned = ({ items }: { items: number }) => {
      if (items === 9) throw new Error("killed");
    };
    const killed = enqueueRun({ ...run, source: numberedSource(40), signal: controller.signal, onPinned });
    await assert.rejects(killed, /killed/);
    assert.equal((await enqueueRun({ ...run, source: numberedSource(40), signal: never })).items, 9);
    assert.deepEqual(await uris(), expected(9));
  });

  it("stops at an interrupt also while it queues again what is pinned", async () => {
    const run = await newRun();
    await enqueueRun({ ...run, source: numberedSource(20), signal: never });
    await assert.rejects(enqueueRun({ ...run, source: numberedSource(20), signal: AbortSignal.abort() }), {
      code: "RUN_INTERRUPTED",
    });
  });

  it("says how many entries the source left out, counting each once", async () => {
    const photos = join(tempDir(), "photos");
    await mkdir(photos);
    for (const name of [".DS_Store", "1.png", "2.png", "notes.md"]) await writeFile(join(photos, name), "");
    const { source } = await openSources(["photos"], resolveOptions({}), { cwd: tempDir() });
    await requireItems(source, "photos");
    const run = await newRun(null, join(tempDir(), "out"));
    const { items, leftOut } = await enqueueRun({ ...run, source, signal: never });
    assert.deepEqual({ items, leftOut }, { items: 2, leftOut: { "no image extension": 2 } });
  });

  it("counts what was left out once, also over kills, in every kind of source", async () => {
    const photos = join(tempDir(), "photos");
    await mkdir(photos);
    for (let i = 0; i < 40; i += 1) await writeFile(join(photos, `${i}.${i % 2 === 0 ? "jpg" : "txt"}`), "");
    const lines = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? "" : `/i/${i % 7}.jpg`));
    await writeFile(join(tempDir(), "list.txt"), lines.join("\n"));
    await writeFile(join(tempDir(), "t.csv"), `uri\n${lines.join("\n")}`);
    await writeFile(join(tempDir(), "t.jsonl"), lines.map((uri) => uri && `{"uri":"${uri}"}`).join("\n"));
    const sources = ["photos", "list.txt", "t.csv", "t.jsonl"];
    const pinWith = async (sample: number | null, out: string, killAfter: readonly number[]) => {
      const run = await newRun(null, join(tempDir(), out), "uri");
      const pin = async (limit: number) => {
        const { source } = await openSources(sources, resolveOptions({ flags: { sample } }), { cwd: tempDir() });
        await requireItems(source, "all");
        const onPinned = ({ items }: { items: number }) => {
          if (items >= limit) throw new Error("killed");
        };
        return enqueueRun({ ...run, source, signal: never, onPinned });
      };
      for (const limit of killAfter) await assert.rejects(pin(limit), /killed/);
      return (await pin(Number.POSITIVE_INFINITY)).leftOut;
    };
    const blank = { "no image extension": 20, "blank line": 60 };
    assert.deepEqual(await pinWith(null, "whole", []), { ...blank, "duplicate uri": 113 });
    assert.deepEqual(await pinWith(null, "killed", [3, 9, 21]), { ...blank, "duplicate uri": 113 });
    const sampled = await pinWith(30, "sample", []);
    assert.deepEqual(await pinWith(30, "sample-killed", [3, 9]), sampled);
    assert.deepEqual({ ...sampled, "duplicate uri": 0 }, { ...blank, "duplicate uri": 0 });
  });

  /** `count` items, of which every third repeats the first, and every fifth fails. */
  const repeatingSource = (count: number): Source => ({
    ...numberedSource(count),
    async *items(after) {
      for await (const item of numberedSource(count).items(after)) {
        const i = Number(item.token) - 1;
        if (i % 5 === 4) yield { ...item, uri: "bad", failure: { code: "ITEM_INVALID", message: `line ${i}` } };
        else yield { ...item, uri: i % 3 === 0 ? "/i/0" : item.uri };
      }
    },
  });

  it("keeps the first of each uri and every bad line, also over an interrupt, where duplicates are dropped", async () => {
    const wanted = Array.from({ length: 60 }, (_, i) => i).filter((i) => i === 0 || i % 3 !== 0 || i % 5 === 4);
    const run = await newRun(null, tempDir(), "uri");
    const controller = new AbortController();
    const onPinned = ({ items }: { items: number }) => {
      if (items >= 9) controller.abort();
    };
    const interrupted = enqueueRun({ ...run, source: repeatingSource(60), signal: controller.signal, onPinned });
    await assert.rejects(interrupted, { code: "RUN_INTERRUPTED" });
    const { items, leftOut } = await enqueueRun({ ...run, source: repeatingSource(60), signal: never });
    assert.equal(items, wanted.length);
    assert.deepEqual(
      await uris(),
      wanted.map((i) => (i % 5 === 4 ? "bad" : `/i/${i}`)),
    );
    assert.ok((leftOut["duplicate uri"] ?? 0) > 0);
  });

  it("loses no item to another producer of the same run where duplicates are dropped", async () => {
    const run = await newRun(null, tempDir(), "uri");
    const both = [1, 2].map(() => enqueueRun({ ...run, source: repeatingSource(90), signal: never }));
    const [first, second] = await Promise.all(both);
    assert.equal(first?.items, second?.items);
    assert.equal(
      first?.items,
      90 - Array.from({ length: 90 }, (_, i) => i).filter((i) => i > 0 && i % 3 === 0 && i % 5 !== 4).length,
    );
  });

  it("shifts nothing when the source has changed since the list was sealed", async () => {
    const run = await newRun();
    await enqueueRun({ ...run, source: numberedSource(8), signal: never });
    await server.redis.flushall();
    await registerRun({ ...run, policy: testPolicy });
    const sealed = await enqueueRun({ ...run, source: numberedSource(99), signal: never });
    assert.equal(sealed.items, 8);
    assert.deepEqual(await uris(), expected(8));
    assert.deepEqual(await queued(run.head.runId), [0, 1, 2]);
  });

  it("queues lost chunks again, but nothing while any is queued", async () => {
    const run = await newRun();
    await enqueueRun({ ...run, source: numberedSource(9), signal: never });
    assert.equal(await requeueLostChunks(run), 0);
    const queue = new Queue(queueName, { connection: server.redis, prefix: runPrefix(run.head.runId) });
    await queue.drain();
    await queue.close();
    assert.equal(await requeueLostChunks(run), 3);
    assert.deepEqual(await queued(run.head.runId), [0, 1, 2]);
  });

  it("refuses a source without items before anything is written", async () => {
    await assert.rejects(requireItems(numberedSource(0), "photos"), { code: "RUN_SOURCE_EMPTY", message: /photos/ });
    await requireItems(numberedSource(1), "photos");
  });
});
