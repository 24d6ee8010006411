import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openResults } from "../../src/results/open.js";
import { runCli, startCli } from "../support/cli.js";
import { startTestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";
import { fixturePath } from "../support/weight-fixtures.js";

const photos = join(projectRoot, "examples/photos");

describe("e2e/own-model", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  const cacheOf = (name: string) => ["--cache-dir", join(tempDir(), name)];
  const importTiny = async (cache: string, ...flags: string[]) => {
    const path = fixturePath("state-dict.pth");
    const { code, stderr } = await runCli(["models", "import", path, "--name", "tiny", ...cacheOf(cache), ...flags]);
    assert.equal(code, 0, stderr);
  };

  it("imports, lists, summarises, runs and removes a model", async () => {
    await importTiny("cache");
    const listed = await runCli(["models", "list", "--json", ...cacheOf("cache")]);
    const tiny = JSON.parse(listed.stdout).models.find((model: { name: string }) => model.name === "tiny");
    assert.deepEqual([tiny.name, tiny.source, tiny.state], ["tiny", "state-dict.pth", "cached"]);
    const summary = await runCli(["models", "summary", "tiny", "--json", ...cacheOf("cache")]);
    assert.equal(JSON.parse(summary.stdout).layers.length, 12 + 3);
    const out = join(tempDir(), "out");
    const done = await runCli(["run", photos, "--model", "tiny", "--out", out, "--json", ...cacheOf("cache")]);
    assert.equal(done.code, 0, done.stderr);
    const result = JSON.parse(done.stdout);
    assert.deepEqual([result.ok, result.model, result.modelSha256], [4, "tiny", tiny.modelSha256]);
    const rows = await collect((await openResults(out)).rows());
    for (const row of rows) {
      assert.match(row.label ?? "", /^class_[0-4]$/);
      assert.deepEqual([row.embedding?.length, row.top_labels?.length, row.model], [12, 5, "tiny"]);
    }
    const removed = await runCli(["models", "rm", "tiny", ...cacheOf("cache")]);
    assert.match(removed.stdout, /^tiny removed from/);
    const gone = await runCli(["run", photos, "--model", "tiny", "--out", `${out}-2`, ...cacheOf("cache")]);
    assert.match(gone.stderr, /Unknown model `tiny`; known: resnet50, .*\[MODEL_UNKNOWN\]/);
    assert.equal(gone.code, 2);
  });

  it("makes an untrained model under a name of its own", async () => {
    const { code, stdout, stderr } = await runCli(["models", "init", "resnet18", "--seed", "3", ...cacheOf("cache")]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^resnet18-seed3: ResNet-18, untrained, of seed 3; 1000 classes/);
  });

  it("prints what it made as one JSON object", async () => {
    const path = fixturePath("state-dict.pth");
    const flags = ["--name", "tiny", "--json", ...cacheOf("cache")];
    const { code, stdout, stderr } = await runCli(["models", "import", path, ...flags]);
    assert.equal(code, 0, stderr);
    const { name, classes, embeddingWidth, modelSha256 } = JSON.parse(stdout);
    assert.deepEqual([name, classes, embeddingWidth], ["tiny", 5, 12]);
    assert.match(modelSha256, /^[0-9a-f]{64}$/);
  });

  it("says of a known model that was never pulled that there is nothing to remove", async () => {
    const { code, stdout } = await runCli(["models", "rm", "resnet18-v1", ...cacheOf("cache")]);
    assert.equal(code, 0);
    assert.match(stdout, /^resnet18-v1 is not in /);
    const unknown = await runCli(["models", "rm", "nothing", ...cacheOf("cache")]);
    assert.equal(unknown.code, 2);
  });

  it("leaves a run to workers with its model: not to one without, nor with other preprocessing", async () => {
    const redis = await startTestRedis();
    try {
      await importTiny("producer");
      await importTiny("other", "--mean", "127.5,127.5,127.5");
      const shared = ["--redis-url", redis.url];
      const out = join(tempDir(), "out");
      const queued = await runCli([
        "enqueue",
        photos,
        "--model",
        "tiny",
        "--out",
        out,
        ...shared,
        ...cacheOf("producer"),
      ]);
      assert.equal(queued.code, 0, queued.stderr);
      const work = (cache: string) =>
        startCli(["work", "--model", "tiny", "--allow-root", photos, ...shared, ...cacheOf(cache)]);
      const lacking = await work("empty").result;
      assert.equal(lacking.code, 2);
      assert.match(lacking.stderr, /Unknown model `tiny`/);
      const other = work("other");
      await other.said(/cannot serve a run.*it needs model tiny with preprocessing of digest [0-9a-f]{64}/);
      const same = work("producer");
      while (!existsSync(join(out, "summary.json"))) await sleep(100);
      for (const worker of [other, same]) {
        worker.process.kill("SIGTERM");
        assert.equal((await worker.result).code, 0, worker.stderr());
      }
    } finally {
      await redis.close();
    }
  });

  it("refuses bad weights and bad flags with one sentence, and caches nothing", async () => {
    const refuse = async (path: string, flags: string[], code: number, reason: RegExp) => {
      const result = await runCli(["models", "import", path, "--name", "bad", ...flags, ...cacheOf("cache")]);
      assert.equal(result.code, code);
      assert.match(result.stderr, reason);
    };
    const module = fixturePath("whole-module.pth");
    await refuse(
      module,
      [],
      1,
      /whole-module.pth are not usable: byte \d+ of the pickle: the global .* is not allowed.*\[MODEL_INVALID\]/,
    );
    await refuse(
      "absent.pth",
      [],
      2,
      /Expected `path` to be a file or directory of weights, got `absent.pth` \(argument\)/,
    );
    const good = fixturePath("state-dict.pth");
    await refuse(good, ["--mean", "0.485,0.456,0.406"], 2, /`mean` to be three numbers for pixels of 0 to 255/);
    await refuse(good, ["--std", "58,0,57"], 2, /`std` to be three numbers for pixels of 0 to 255, above 0/);
    await refuse(good, ["--shortest-side", "200"], 2, /`shortest-side` to be an integer from 224/);
    await refuse(good, ["--epsilon", "x"], 2, /`epsilon` to be a number above 0/);
    await refuse(good, ["--stride", "2"], 2, /Allowed choices are first-1x1, 3x3/);
    const listed = await runCli(["models", "list", "--json", ...cacheOf("cache")]);
    assert.doesNotMatch(listed.stdout, /"state":"(cached|damaged)"/);
  });
});
