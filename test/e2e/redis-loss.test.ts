import assert from "node:assert/strict";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { verifyResults } from "../../src/results/verify.js";
import { runCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

describe("e2e/redis-loss", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    await resnet50ForTests();
    server = await startTestRedis();
  });
  after(() => server.close());

  it("stops with a resumable sentence when Redis loses everything; the same command then completes", async () => {
    const source = join(tempDir(), "many");
    await mkdir(source);
    for (let i = 0; i < 60; i += 1)
      await copyDistinct(join(projectRoot, "examples/photos/rocket.jpg"), join(source, `${i + 100}.jpg`), i);
    const out = join(tempDir(), "out");
    const parts = async () => (await readdir(join(out, "parts")).catch(() => [])).filter((n) => n.startsWith("part-"));
    const args = ["run", source, "--out", out, "--chunk-size", "8", "--redis-url", server.url, "--json"];
    const running = startCli(args);
    while ((await parts()).length < 1) await sleep(20);
    await server.redis.flushall();
    const lost = await running.result;
    assert.equal(lost.code, 1, lost.stderr);
    assert.equal(lost.stdout, "");
    assert.match(lost.stderr, /no longer in Redis .*; repeat the same command to go on.*\[RUN_RECORD_LOST\]\n$/);
    const kept = await parts();
    assert.ok(kept.length >= 1 && kept.length < 8, String(kept));
    const written = async () => Promise.all(kept.map(async (name) => (await stat(join(out, "parts", name))).mtimeMs));
    const before = await written();
    const { code, stdout, stderr } = await runCli(args);
    assert.equal(code, 0, stderr);
    const { items, ok, failed } = JSON.parse(stdout);
    assert.deepEqual({ items, ok, failed }, { items: 60, ok: 60, failed: 0 });
    const { complete, rows, problems } = await verifyResults(out);
    assert.deepEqual({ complete, rows, problems }, { complete: true, rows: 60, problems: [] });
    assert.deepEqual(await written(), before, "finished parts are not redone");
  });

  it("ends, instead of hanging on the open connection, where --out holds something else", async () => {
    await writeFile(join(tempDir(), "letter.txt"), "not ours");
    const args = ["run", join(projectRoot, "examples/photos"), "--out", tempDir(), "--redis-url", server.url];
    const { code, stderr } = await runCli(args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /\[RUN_NOT_A_DATASET\]/);
  });
});
