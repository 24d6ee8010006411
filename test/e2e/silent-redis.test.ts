import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type RunningCli, runCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { resnet50ForTests } from "../support/model.js";
import { descendantsOf, isAlive } from "../support/processes.js";
import { startTestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

describe("e2e/silent-redis", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  async function manyPhotos(count: number): Promise<string> {
    const source = join(tempDir(), "many");
    await mkdir(source);
    for (let i = 0; i < count; i += 1)
      await copyDistinct(join(projectRoot, "examples/photos/rocket.jpg"), join(source, `${i + 1000}.jpg`), i);
    return source;
  }
  const parts = async (out: string) => (await readdir(join(out, "parts")).catch(() => [])).length;

  async function assertInterrupted(running: RunningCli): Promise<void> {
    running.process.kill("SIGINT");
    const { code, stderr } = await running.result;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /repeat the same command to go on \[RUN_INTERRUPTED\]/);
  }

  it("does not keep `enqueue` from being interrupted", async () => {
    const server = await startTestRedis();
    const pid = Number(/process_id:(\d+)/.exec(await server.redis.info("server"))?.[1]);
    const out = join(tempDir(), "out");
    const args = ["enqueue", await manyPhotos(2_000), "--out", out, "--chunk-size", "1", "--redis-url", server.url];
    const running = startCli(args);
    while ((await readdir(join(out, "items")).catch(() => [])).length < 1) await sleep(5);
    process.kill(pid, "SIGSTOP");
    await sleep(300);
    await assertInterrupted(running);
    process.kill(pid, "SIGCONT");
    await server.close();
  });

  it("does not keep `run` from being interrupted, and a private one that is halted ends with it", async () => {
    const out = join(tempDir(), "out");
    const args = ["run", await manyPhotos(200), "--out", out, "--chunk-size", "8", "--drain-timeout-ms", "500"];
    const running = startCli(args);
    while ((await parts(out)) < 1) await sleep(20);
    const children = await descendantsOf(running.process.pid ?? 0);
    for (const pid of children) {
      if ((await readFile(`/proc/${pid}/comm`, "utf8")).startsWith("redis-server")) process.kill(pid, "SIGSTOP");
    }
    await sleep(300);
    await assertInterrupted(running);
    while (children.some(isAlive)) await sleep(50);
  });

  it("is told from a dataset that another run's has taken the place of: the command ends, with nothing written there", async () => {
    const out = join(tempDir(), "out");
    const source = await manyPhotos(200);
    const running = startCli(["run", source, "--out", out, "--chunk-size", "8"]);
    while ((await parts(out)) < 1) await sleep(20);
    await rename(out, join(tempDir(), "away"));
    const other = await runCli(["run", source, "--limit", "1", "--out", out]);
    assert.equal(other.code, 0, other.stderr);
    const { code, stderr } = await running.result;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /holds run .* now.*\[RUN_REPLACED\]/);
    assert.equal(await parts(out), 1);
  });
});
