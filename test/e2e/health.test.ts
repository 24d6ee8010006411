import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { enqueue } from "labelmill";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { type RunningCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { figureOf, probe, scrape } from "../support/metrics.js";
import { resnet50ForTests } from "../support/model.js";
import { descendantsOf } from "../support/processes.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { completed } from "../support/run-harness.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");

describe("e2e/health", function () {
  this.timeout(180_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  const started: RunningCli[] = [];
  before(async () => {
    await resnet50ForTests();
    server = await startTestRedis();
  });
  afterEach(async () => {
    for (const cli of started.splice(0)) {
      cli.process.kill("SIGTERM");
      await cli.result;
    }
  });
  after(() => server.close());

  /** A command that serves its health, and where. */
  async function startTold(args: readonly string[]): Promise<{ cli: RunningCli; url: string }> {
    const cli = startCli([...args, "--metrics-port", "0", "--redis-url", server.url]);
    started.push(cli);
    await cli.said(/serving \/livez.*http:/);
    return { cli, url: /"url":"(http:[^"]+)"/.exec(cli.stderr())?.[1] ?? "" };
  }

  const becomes = async (url: string, path: string, status: number) => {
    while ((await probe(url, path)).status !== status) await sleep(50);
  };

  const enqueueCopies = async (n: number, options: { chunkSize?: number } = {}) => {
    const source = join(tempDir(), "many");
    await mkdir(source);
    for (let i = 0; i < n; i += 1) await copyDistinct(join(photos, "rocket.jpg"), join(source, `${i}.jpg`), i);
    const out = join(tempDir(), "out");
    await enqueue(source, { out, redisUrl: server.url, ...options });
    return openStorage(out);
  };

  it("is alive while the model is loaded, ready after it, and counts what it did", async () => {
    const { url } = await startTold(["work", "--allow-root", tempDir()]);
    const early = await probe(url, "/readyz");
    assert.deepEqual(
      [(await probe(url, "/livez")).status, early.status, early.text],
      [200, 503, "the model is being loaded\n"],
    );
    await becomes(url, "/readyz", 200);
    const storage = await enqueueCopies(12, { chunkSize: 4 });
    await completed({ storage });
    // The last chunk is acknowledged after the summary is written.
    while (figureOf(await scrape(url), "labelmill_chunks_total", { outcome: "done" }) !== 3) await sleep(50);
    const samples = await scrape(url);
    assert.equal(figureOf(samples, "labelmill_rows_total", { status: "ok" }), 12);
    assert.equal(figureOf(samples, "labelmill_batch_images_total"), 12);
    assert.equal(
      figureOf(samples, "labelmill_engine_info", { engine: "onnx/cpu", device: "cpu", model: "resnet50" }),
      1,
    );
    for (const stage of ["fetch", "decode", "inference", "commit"]) {
      assert.ok((figureOf(samples, "labelmill_stage_seconds_total", { stage }) ?? 0) > 0, stage);
    }
    assert.ok((figureOf(samples, "labelmill_compute_resident_bytes") ?? 0) > 50 * 2 ** 20);
    assert.equal(figureOf(samples, "labelmill_queue_chunks"), 0);
  });

  it("is not alive where its work stands still, and alive again when it goes on", async () => {
    const { cli, url } = await startTold(["work", "--allow-root", tempDir(), "--stall-timeout-ms", "1000"]);
    await becomes(url, "/readyz", 200);
    // An idle worker looks for work, which is a step.
    await sleep(1_500);
    assert.equal((await probe(url, "/livez")).status, 200);
    const [child = 0] = await descendantsOf(cli.process.pid ?? 0);
    process.kill(child, "SIGSTOP");
    const storage = await enqueueCopies(4);
    await becomes(url, "/livez", 503);
    assert.match((await probe(url, "/livez")).text, /1 chunks in hand, stuck/);
    process.kill(child, "SIGCONT");
    await completed({ storage });
    await becomes(url, "/livez", 200);
  });

  it("is alive and not ready while Redis is away", async () => {
    const { url } = await startTold(["work", "--allow-root", tempDir(), "--stall-timeout-ms", "1000"]);
    const exporter = await startTold(["exporter"]);
    await becomes(url, "/readyz", 200);
    const pid = Number(/process_id:(\d+)/.exec(await server.redis.info("server"))?.[1]);
    process.kill(pid, "SIGSTOP");
    try {
      for (const told of [url, exporter.url]) {
        await becomes(told, "/readyz", 503);
        assert.equal(figureOf(await scrape(told), "labelmill_redis_up"), 0);
      }
    } finally {
      process.kill(pid, "SIGCONT");
    }
    for (const told of [url, exporter.url]) await becomes(told, "/readyz", 200);
    assert.equal((await probe(url, "/livez")).status, 200);
  });

  it("takes no more and says so once it is told to stop", async () => {
    const { cli, url } = await startTold(["work", "--allow-root", tempDir(), "--drain-timeout-ms", "60000"]);
    await becomes(url, "/readyz", 200);
    const storage = await enqueueCopies(24, { chunkSize: 24 });
    while (figureOf(await scrape(url), "labelmill_chunks_in_hand") !== 1) await sleep(20);
    cli.process.kill("SIGTERM");
    await becomes(url, "/readyz", 503);
    assert.match((await probe(url, "/readyz")).text, /takes no more/);
    assert.equal((await cli.result).code, 0, cli.stderr());
    await assert.rejects(probe(url, "/livez"));
    await completed({ storage });
  });
});
