import assert from "node:assert/strict";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Row } from "../../src/dataset/row.js";
import { openResults, showRun } from "../../src/library/index.js";
import { verifyResults } from "../../src/results/verify.js";
import { runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { testStoreSettings } from "../support/s3/settings.js";
import {
  type StoreFault,
  type StoreRequest,
  startTestStore,
  type TestStore,
  testCredentialEnv,
} from "../support/s3/store.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const photo = join(projectRoot, "examples/photos/coffee.png");
const out = "s3://data/runs/a";

describe("e2e/s3-dataset", function () {
  this.timeout(240_000);
  const tempDir = useTempDir();
  let store: TestStore;
  let redis: TestRedis;
  let env: Record<string, string>;
  before(() => resnet50ForTests());
  beforeEach(async () => {
    store = await startTestStore();
    redis = await startTestRedis();
    await store.put("data", {});
    env = { ...testCredentialEnv, AWS_ENDPOINT_URL: store.url };
  });
  afterEach(async () => {
    await redis.close();
    await store.close();
  });

  /** A directory of `count` images, each with a name of its own. */
  async function photos(count: number): Promise<string> {
    const directory = join(tempDir(), "in");
    await mkdir(directory);
    for (let i = 0; i < count; i += 1) await cp(photo, join(directory, `${i}.png`));
    return directory;
  }
  const isPart = ({ method, path }: StoreRequest) => method === "PUT" && path.includes("/parts/");
  const shared = (...args: string[]) => [...args, "--redis-url", redis.url, "--json"];
  const soundRows = async (count: number) => {
    const reading = { store: testStoreSettings(store) };
    const { problems, complete, rows, ok } = await verifyResults(out, reading);
    assert.deepEqual({ problems, complete, rows, ok }, { problems: [], complete: true, rows: count, ok: count });
  };

  it("makes an exact dataset through a store that fails, and every command reads it", async () => {
    const faults: readonly StoreFault[] = ["500", "503", "reset", "slow", "short", "lost"];
    store.fault = ({ number }) => (number === 1 ? (faults[store.requests.length % faults.length] ?? null) : null);
    const run = await runCli(["run", await photos(6), "--out", `${out}/`, "--chunk-size", "2", "--json"], { env });
    assert.equal(run.code, 0, run.stderr);
    const summary = JSON.parse(run.stdout);
    assert.deepEqual([summary.ok, summary.items, summary.out], [6, 6, out]);
    await soundRows(6);
    const results = async (...args: string[]) => {
      const { code, stdout, stderr } = await runCli(["results", ...args], { env });
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const readAll = async () => {
      assert.equal(JSON.parse(await results("stats", out, "--json")).ok, 6);
      assert.match(await results("verify", out), /Nothing is wrong/);
      assert.equal(JSON.parse(await results("search", out, "--index", "0", "--json")).hits.length, 5);
      const to = join(tempDir(), `${store.requests.length}.csv`);
      assert.match(await results("export", out, "--format", "csv", "--to", to), /6 rows/);
      const options = { s3Endpoint: store.url };
      Object.assign(process.env, testCredentialEnv);
      const rows = await collect((await openResults(out, options)).rows<keyof Row>());
      return rows.map(({ item_index, label }) => [item_index, label]);
    };
    const before = await readAll();
    assert.match(await results("compact", out), /6 rows of 3 chunks in 1 files/);
    assert.deepEqual(await readAll(), before);
    const again = await runCli(["run", join(tempDir(), "in"), "--out", out, "--chunk-size", "2", "--json"], { env });
    assert.deepEqual([again.code, JSON.parse(again.stdout)], [0, summary], again.stderr);
    const refused = await runCli(["results", "export", out, "--format", "csv", "--to", "s3://data/x.csv"], { env });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /exports are written to local files/);
  });

  it("has one winner where two workers commit one part, and counts it once", async () => {
    const args = shared("enqueue", await photos(4), "--out", out, "--chunk-size", "4");
    assert.equal((await runCli(args, { env })).code, 0);
    // The first commit is held back until another worker, which takes the chunk when the lock has run out, has made its own.
    let held: (() => void) | null = null;
    store.answer = (request, response) => {
      if (!isPart(request) || held !== null) return false;
      held = () => response.destroy();
      return true;
    };
    const flags = ["--allow-root", tempDir(), "--redis-url", redis.url, "--lock-ms", "5000"];
    const slow = startCli(["work", ...flags], { env });
    while (held === null) await new Promise((resolve) => setTimeout(resolve, 50));
    slow.process.kill("SIGSTOP");
    const quick = startCli(["work", ...flags], { env });
    while ((await runStateOf(JSON.parse((await runCli(args, { env })).stdout).runId)) !== "completed");
    slow.process.kill("SIGCONT");
    (held as () => void)();
    await slow.said(/lost the lock of a chunk/);
    for (const { process } of [slow, quick]) process.kill("SIGTERM");
    await Promise.all([slow.result, quick.result]);
    await soundRows(4);
    const report = await showRun(JSON.parse((await runCli(args, { env })).stdout).runId, { redisUrl: redis.url });
    assert.deepEqual([report.ok, report.failed, report.chunks.done], [4, 0, 1]);
  });
  const runStateOf = async (runId: string) => (await showRun(runId, { redisUrl: redis.url })).state;

  it("redoes nothing where it was killed in the middle, and is exact when it is repeated", async () => {
    const args = ["run", await photos(6), "--out", out, "--chunk-size", "1", "--json"];
    let parts = 0;
    const first = startCli(args, { env });
    store.answer = (request) => {
      if (isPart(request)) parts += 1;
      if (parts < 4) return false;
      first.process.kill("SIGKILL");
      return true;
    };
    await first.result;
    store.answer = () => false;
    const kept = [...(await store.objects("data"))].filter(([key]) => key.includes("/parts/"));
    assert.ok(kept.length >= 1 && kept.length < 6, `${kept.length}`);
    const listed = await runCli(["runs", "list", "--json"], { env });
    assert.equal(JSON.parse(listed.stdout).runs.find((run: { out: string }) => run.out === out)?.state, "interrupted");
    const puts = () => store.requests.filter((request) => isPart(request)).length;
    const before = puts();
    const { code, stdout, stderr } = await runCli(args, { env });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).ok, 6);
    assert.equal(puts() - before, 6 - kept.length);
    const now = await store.objects("data");
    for (const [key, bytes] of kept) assert.deepEqual(now.get(key), bytes, key);
    await soundRows(6);
  });

  it("says what is wrong with the place before anything is done there", async () => {
    const args = async (place: string) => runCli(["run", projectRoot, "--limit", "1", "--out", place], { env });
    const nowhere = await args("s3://nowhere/a");
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /no bucket nowhere at http.*\[STORAGE_NO_BUCKET\]/);
    store.isConditional = false;
    const careless = await args(out);
    assert.equal(careless.code, 1);
    assert.match(careless.stderr, /does not keep the first of several writes.*\[STORAGE_UNCONDITIONAL\]/);
    assert.deepEqual([...(await store.objects("data")).keys()], []);
  });

  it("waits for a store that is away in the middle of a run", async () => {
    const run = startCli(["run", await photos(4), "--out", out, "--chunk-size", "1", "--json"], { env });
    let isAway = false;
    store.answer = (request, response) => {
      if (isPart(request) && !isAway && request.path.endsWith("2.parquet")) {
        isAway = true;
        // Away until the run has said that it waits.
        void run.said(/waiting: Storage failed at s3:/).then(() => {
          store.answer = () => false;
        });
      }
      if (isAway) response.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
      return isAway;
    };
    const { code, stdout, stderr } = await run.result;
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).ok, 4);
    await soundRows(4);
  });
});
