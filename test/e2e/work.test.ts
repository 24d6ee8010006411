import assert from "node:assert/strict";
import { copyFile, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { enqueue, openResults, run, startWorker } from "labelmill";
import { verifyResults } from "../../src/results/verify.js";
import { runCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");

describe("e2e/work", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    await resnet50ForTests();
    server = await startTestRedis();
  });
  after(() => server.close());

  const waitFor = async (path: string) => {
    while (!(await stat(path).catch(() => null))) await sleep(100);
  };

  it("lets a producer exit and workers elsewhere do its runs, each with its own options, until they are told to stop", async () => {
    const a = join(tempDir(), "a");
    const b = join(tempDir(), "b");
    const queued = await runCli(["enqueue", photos, "--out", a, "--redis-url", server.url, "--json"]);
    assert.equal(queued.code, 0, queued.stderr);
    assert.equal(JSON.parse(queued.stdout).items, 4);
    await enqueue(photos, { out: b, redisUrl: server.url, topK: 2, format: "jsonl", chunkSize: 1 });
    const workers = [1, 2].map(() => startCli(["work", "--redis-url", server.url, "--allow-root", projectRoot]));
    await Promise.all([waitFor(join(a, "summary.json")), waitFor(join(b, "summary.json"))]);
    for (const worker of workers) worker.process.kill("SIGTERM");
    for (const worker of workers) assert.equal((await worker.result).code, 0, worker.stderr());
    const rows = await Promise.all([a, b].map(async (out) => collect((await openResults(out)).rows())));
    assert.deepEqual(
      rows.map((of) => of.map((row) => row.top_labels?.length)),
      [
        [5, 5, 5, 5],
        [2, 2, 2, 2],
      ],
    );
    assert.deepEqual(
      rows[0]?.map((row) => row.label),
      rows[1]?.map((row) => row.label),
    );
  });

  it("leaves a run to others whose source it may not read, and says why", async () => {
    const out = join(tempDir(), "out");
    await enqueue(photos, { out, redisUrl: server.url });
    const worker = startCli(["work", "--redis-url", server.url, "--allow-root", tempDir()]);
    await worker.said(/cannot serve a run.*not below an --allow-root/);
    worker.process.kill("SIGTERM");
    assert.equal((await worker.result).code, 0);
    await assert.rejects(stat(join(out, "parts")));
  });

  it("does again what was deleted from a finished dataset, although Redis still says that the run is complete", async () => {
    const out = join(tempDir(), "out");
    const options = { out, redisUrl: server.url, chunkSize: 1 };
    await run(photos, options);
    await rm(join(out, "parts/part-00000002.parquet"));
    await rm(join(out, "summary.json"));
    const { summary } = await run(photos, options);
    assert.deepEqual([summary.items, summary.ok], [4, 4]);
    assert.deepEqual((await verifyResults(out)).problems, []);
  });

  it("leaves on SIGTERM without the chunks that it had in hand, and the next worker takes over at once", async () => {
    const source = join(tempDir(), "many");
    await mkdir(source);
    for (let i = 0; i < 96; i += 1) await copyDistinct(join(photos, "rocket.jpg"), join(source, `${i + 100}.jpg`), i);
    const out = join(tempDir(), "out");
    const { runId } = await enqueue(source, { out, redisUrl: server.url, chunkSize: 48 });
    const queue = server.queueOf(runId);
    // With such a lock time nobody gets a chunk that is not given back.
    const args = ["work", "--redis-url", server.url, "--allow-root", source, "--lock-ms", "600000"];
    const first = startCli([...args, "--drain-timeout-ms", "300"]);
    while ((await queue.getActiveCount()) < 2) await sleep(10);
    first.process.kill("SIGTERM");
    assert.equal((await first.result).code, 0, first.stderr());
    assert.deepEqual(await queue.getJobCounts("wait", "active", "delayed"), { wait: 2, active: 0, delayed: 0 });
    const second = startCli(args);
    await waitFor(join(out, "summary.json"));
    second.process.kill("SIGTERM");
    assert.equal((await second.result).code, 0, second.stderr());
    assert.deepEqual((await verifyResults(out)).problems, []);
  });

  it("says how many files of a directory it left out", async () => {
    const source = join(tempDir(), "source");
    await mkdir(source);
    await copyFile(join(photos, "coffee.png"), join(source, "coffee.png"));
    await writeFile(join(source, "notes.txt"), "x");
    const { code, stderr } = await runCli(["run", source, "--out", join(tempDir(), "out")]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /left out 1: no image extension/);
  });

  it("drains and ends a worker of the library when its signal aborts", async () => {
    const stop = new AbortController();
    const worker = await startWorker({ redisUrl: server.url, signal: stop.signal, drainTimeoutMs: 1_000 });
    stop.abort();
    await worker.ended;
  });

  it("runs from the library, from a list with a bad line, with progress", async () => {
    const list = join(tempDir(), "list.txt");
    await mkdir(join(tempDir(), "img"));
    await copyFile(join(photos, "coffee.png"), join(tempDir(), "img/coffee.png"));
    await writeFile(list, "img/coffee.png\n\nimg/gone.png\nhttps://127.0.0.1/x.png\n");
    const seen: number[] = [];
    const out = join(tempDir(), "out");
    const { summary } = await run(list, { out, redisUrl: server.url, onProgress: ({ done }) => seen.push(done) });
    assert.deepEqual(summary.failuresByCode, { FETCH_NOT_FOUND: 1, FETCH_BLOCKED: 1 });
    assert.ok(seen.length > 0);
    const rows = await collect((await openResults(out)).rows({ columns: ["source_line", "label"] }));
    assert.deepEqual(rows, [
      { source_line: 1, label: "espresso" },
      { source_line: 3, label: null },
      { source_line: 4, label: null },
    ]);
  });
});
