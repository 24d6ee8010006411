import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openResults } from "../../src/results/open.js";
import { verifyResults } from "../../src/results/verify.js";
import { describeModel } from "../../src/worker/model/describe-model.js";
import { runCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { resnet50ForTests } from "../support/model.js";
import { descendantsOf, isAlive } from "../support/processes.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photos = join(projectRoot, "examples/photos");

/** Copies of an example photo, so that a run has more than one chunk. */
async function manyPhotos(dir: string, count: number): Promise<string> {
  const source = join(dir, "many");
  await mkdir(source);
  for (let i = 0; i < count; i += 1)
    await copyDistinct(join(photos, "rocket.jpg"), join(source, `${String(i).padStart(3, "0")}.jpg`), i);
  return source;
}

const rowsOf = async (out: string) => collect((await openResults(out)).rows());

describe("e2e/run", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  it("labels real photos: one JSON object on stdout, the dataset on disk, exit status 0", async () => {
    const out = join(tempDir(), "out");
    const { code, stdout, stderr } = await runCli(["run", photos, "--out", out, "--json"]);
    assert.equal(code, 0, stderr);
    const summary = JSON.parse(stdout);
    assert.deepEqual([summary.items, summary.ok, summary.failed, summary.out], [4, 4, 0, out]);
    assert.deepEqual(summary.engines, ["onnx/cpu"]);
    assert.deepEqual((await readdir(out)).sort(), ["items", "parts", "run.json", "summary.json"]);
    const rows = await rowsOf(out);
    const labels = Object.fromEntries(rows.map((row) => [row.uri.split("/").at(-1), row.label]));
    assert.equal(labels["chelsea.png"], "Egyptian_cat");
    assert.equal(labels["coffee.png"], "espresso");
    assert.equal(labels["camera.png"], "tripod");
    for (const row of rows) {
      assert.equal(row.embedding?.length, 2048);
      assert.equal(row.top_labels?.length, 5);
      assert.equal(row.bytes, (await stat(row.uri)).size);
    }
  });

  it("runs in int8 what is asked in int8, and refuses fp32 into the same dataset", async () => {
    const out = join(tempDir(), "out");
    const { code, stdout, stderr } = await runCli(["run", photos, "--out", out, "--precision", "int8", "--json"]);
    assert.equal(code, 0, stderr);
    const { precision, modelSha256 } = JSON.parse(stdout);
    assert.deepEqual(
      [precision, modelSha256],
      ["int8", (await describeModel(tempDir(), "resnet50", "int8")).modelSha256],
    );
    const rows = await rowsOf(out);
    assert.deepEqual(
      rows.map((row) => row.label),
      ["tripod", "Egyptian_cat", "espresso", "drilling_platform"],
    );
    assert.ok(rows.every((row) => row.precision === "int8" && row.model_sha256 === modelSha256));
    const other = await runCli(["run", photos, "--out", out]);
    assert.equal(other.code, 2);
    assert.match(other.stderr, /precision int8 vs fp32 asked for.*\[RUN_IDENTITY\]/);
    const unknown = await runCli(["run", photos, "--out", out, "--precision", "int4"]);
    assert.equal(unknown.code, 2);
    assert.match(
      unknown.stderr,
      /Expected `precision` to be fp32, int8 or int8-7bit \(there is no fp16 yet.*, got `int4`/,
    );
  });

  it("finds its run again without --out, says that it is complete, and touches nothing", async () => {
    const first = await runCli(["run", photos, "--json"], { cwd: tempDir() });
    const { out } = JSON.parse(first.stdout);
    assert.match(out, /labelmill-out\/photos-[0-9a-f]{8}$/);
    const written = (await stat(join(out, "parts/part-00000000.parquet"))).mtimeMs;
    const second = await runCli(["run", photos], { cwd: tempDir() });
    assert.equal(second.code, 0);
    assert.match(second.stdout, /Complete already; nothing is new or changed\.\n4 items: 4 ok/);
    assert.equal((await stat(join(out, "parts/part-00000000.parquet"))).mtimeMs, written);
  });

  it("writes JSONL with the same columns, and leaves embeddings out where asked", async () => {
    const parquet = join(tempDir(), "parquet");
    const jsonl = join(tempDir(), "jsonl");
    await runCli(["run", photos, "--out", parquet]);
    await runCli(["run", photos, "--out", jsonl, "--format", "jsonl", "--embedding", "none", "--top-k", "2"]);
    const strip = (row: Record<string, unknown>) => ({
      ...row,
      run_id: 0,
      embedding: 0,
      top_labels: 0,
      top_indices: 0,
      top_scores: 0,
    });
    const rows = await rowsOf(jsonl);
    assert.deepEqual(rows.map(strip), (await rowsOf(parquet)).map(strip));
    assert.equal(rows[0]?.top_labels?.length, 2);
    assert.equal(rows[0]?.embedding ?? null, null);
  });

  it("goes on after an interrupt: exit status 130, finished parts kept, every item one row", async () => {
    const out = join(tempDir(), "out");
    const args = ["run", await manyPhotos(tempDir(), 120), "--out", out, "--chunk-size", "8"];
    const running = startCli(args);
    await running.said(/run started/);
    while ((await readdir(join(out, "parts")).catch(() => [])).filter((name) => name.startsWith("part-")).length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running.process.kill("SIGINT");
    const interrupted = await running.result;
    assert.equal(interrupted.code, 130, interrupted.stderr);
    assert.match(interrupted.stderr, /repeat the same command to go on/);
    const kept = await readdir(join(out, "parts"));
    assert.ok(kept.length < 15 && kept.every((name) => /^part-\d{8}\.parquet$/.test(name)), String(kept));
    const times = await Promise.all(kept.map(async (name) => (await stat(join(out, "parts", name))).mtimeMs));
    const resumed = await runCli([...args, "--json"]);
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.deepEqual(
      await Promise.all(kept.map(async (name) => (await stat(join(out, "parts", name))).mtimeMs)),
      times,
    );
    const rows = await rowsOf(out);
    assert.deepEqual(
      rows.map((row) => row.item_index),
      Array.from({ length: 120 }, (_, i) => i),
    );
    assert.equal(JSON.parse(resumed.stdout).items, 120);
  });

  it("lets two commands of one run work on it together: both succeed, every item one row", async () => {
    const out = join(tempDir(), "out");
    const args = ["run", await manyPhotos(tempDir(), 60), "--out", out, "--chunk-size", "8", "--json"];
    const results = await Promise.all([runCli(args), runCli(args)]);
    for (const { code, stderr } of results) assert.equal(code, 0, stderr);
    assert.equal(results[0]?.stdout, results[1]?.stdout);
    assert.deepEqual((await verifyResults(out)).problems, []);
  });

  it("goes on when its private Redis is killed with -9, and every item is one row", async () => {
    const out = join(tempDir(), "out");
    const running = startCli(["run", await manyPhotos(tempDir(), 60), "--out", out, "--chunk-size", "8", "--json"]);
    while ((await readdir(join(out, "parts")).catch(() => [])).length === 0) await sleep(20);
    for (const pid of await descendantsOf(running.process.pid ?? 0)) {
      if ((await readFile(`/proc/${pid}/comm`, "utf8")).startsWith("redis-server")) process.kill(pid, "SIGKILL");
    }
    const { code, stderr } = await running.result;
    assert.equal(code, 0, stderr);
    const { complete, rows, problems } = await verifyResults(out);
    assert.deepEqual({ complete, rows, problems }, { complete: true, rows: 60, problems: [] });
  });

  it("leaves no process behind when it is killed with -9, and goes on afterwards", async () => {
    const out = join(tempDir(), "out");
    const args = ["run", await manyPhotos(tempDir(), 60), "--out", out, "--chunk-size", "8"];
    const running = startCli(args);
    await running.said(/run started/);
    const children = await descendantsOf(running.process.pid ?? 0);
    assert.ok(children.length >= 2, "expected a compute child and a private Redis");
    running.process.kill("SIGKILL");
    await running.result;
    while (children.some(isAlive)) await sleep(50);
    const resumed = await runCli([...args, "--json"]);
    assert.equal(resumed.code, 0, resumed.stderr);
    const { rows, problems } = await verifyResults(out);
    assert.deepEqual({ rows, problems }, { rows: 60, problems: [] });
  });
});
