import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { recordKey } from "../../src/shared/run-keys.js";
import { linesOfDataset, linesOfPostgres } from "../delivery/pushed.js";
import { runCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { resnet50ForTests } from "../support/model.js";
import { findPostgres, postgresPassword, startTestPostgres, type TestPostgres } from "../support/postgres.js";
import { startTestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const photo = join(projectRoot, "examples/photos/rocket.jpg");
const env = { PGPASSWORD: postgresPassword };

async function manyPhotos(directory: string, count: number): Promise<string> {
  const source = join(directory, "many");
  await mkdir(source);
  for (let i = 0; i < count; i += 1) await copyDistinct(photo, join(source, `${i}.jpg`), i);
  return source;
}

/** A server of `count` photos, which answers for the first of them that it is opened to, and lets the others wait. */
async function startGatedPhotos(count: number) {
  const bytes = await readFile(photo);
  const waiting = new Map<number, ServerResponse>();
  let opened = 0;
  const answer = () => {
    for (const [i, response] of waiting) {
      if (i >= opened) continue;
      waiting.delete(i);
      // Distinct bytes, so that none is a duplicate.
      response.writeHead(200, { "content-type": "image/jpeg" }).end(Buffer.concat([bytes, Buffer.from(String(i))]));
    }
  };
  const server = createServer((request, response) => {
    waiting.set(Number(/(\d+)\.jpg$/.exec(request.url ?? "")?.[1] ?? count), response);
    answer();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    addresses: Array.from({ length: count }, (_, i) => `http://127.0.0.1:${port}/${i}.jpg`),
    open(photos: number) {
      opened = photos;
      answer();
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("e2e/sinks", function () {
  this.timeout(240_000);
  const tempDir = useTempDir();
  let postgres: TestPostgres;
  before(async function () {
    const binaries = await findPostgres();
    if (binaries === null) return this.skip();
    await resnet50ForTests();
    postgres = await startTestPostgres(binaries);
  });
  after(() => postgres?.close());
  beforeEach(async () => {
    await postgres.start();
    await postgres.query("DROP SCHEMA IF EXISTS labelmill CASCADE");
  });

  const runIdOf = async (out: string): Promise<string> =>
    JSON.parse(await readFile(join(out, "run.json"), "utf8")).runId;

  it("does the whole work while Postgres is stopped, and delivers all of it when it is back", async () => {
    const [source, out] = [await manyPhotos(tempDir(), 12), join(tempDir(), "out")];
    await postgres.stop("SIGKILL");
    const sink = postgres.urlWithoutPassword;
    const running = startCli(["run", source, "--out", out, "--chunk-size", "2", "--sink", sink, "--json"], { env });
    while (!(await readdir(out).catch((): string[] => [])).includes("summary.json")) {
      assert.equal(running.process.exitCode, null, running.stderr());
      await sleep(100);
    }
    await postgres.start();
    const { code, stdout, stderr } = await running.result;
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).ok, 12);
    assert.equal(stderr.match(/delivery waits/g)?.length, 1, stderr);
    assert.doesNotMatch(stdout + stderr + (await readFile(join(out, "run.json"), "utf8")), /canary/);
    assert.deepEqual(await linesOfPostgres(postgres.url, await runIdOf(out)), await linesOfDataset(out));
  });

  it("goes on while Postgres is away in the middle, and delivers what was made meanwhile when it is back", async () => {
    const [list, out] = [join(tempDir(), "list.txt"), join(tempDir(), "out")];
    const web = await startGatedPhotos(24);
    try {
      await writeFile(list, web.addresses.join("\n"));
      const args = ["run", list, "--out", out, "--chunk-size", "2", "--allow-private", "127.0.0.0/8"];
      const running = startCli([...args, "--sink", postgres.urlWithoutPassword, "--json"], { env });
      const until = async (isSo: () => Promise<boolean>) => {
        while (!(await isSo())) {
          assert.equal(running.process.exitCode, null, running.stderr());
          await sleep(100);
        }
      };
      const hasCommitted = async (parts: number) => {
        const names = await readdir(join(out, "parts"), { recursive: true }).catch((): string[] => []);
        return names.filter((name) => name.endsWith(".parquet")).length >= parts;
      };
      const hasDelivered = async (rows: number) => {
        const counted = await postgres.query("SELECT count(*)::int AS n FROM labelmill.rows").catch(() => []);
        return Number(counted[0]?.n) >= rows;
      };
      web.open(8);
      await until(() => hasDelivered(8));
      await postgres.stop("SIGKILL");
      web.open(16);
      await until(() => hasCommitted(8));
      await postgres.start();
      await until(() => hasDelivered(16));
      web.open(24);
      const { code, stdout, stderr } = await running.result;
      assert.equal(code, 0, stderr);
      assert.equal(JSON.parse(stdout).ok, 24);
      assert.match(stderr, /delivery waits[\s\S]*takes parts again/);
      assert.deepEqual(await linesOfPostgres(postgres.url, await runIdOf(out)), await linesOfDataset(out));
    } finally {
      await web.close();
    }
  });

  it("ends with the command that goes on where a sink does not come back, and the same command goes on too", async () => {
    const [source, out] = [await manyPhotos(tempDir(), 2), join(tempDir(), "out")];
    await postgres.stop();
    const args = ["run", source, "--out", out, "--sink", postgres.url, "--sink-timeout-ms", "500"];
    const behind = await runCli(args);
    assert.equal(behind.code, 1, behind.stderr);
    assert.match(behind.stderr, /labelmill results push .*--to postgres:\/\/tester@127.*\[SINK_BEHIND\]/);
    assert.doesNotMatch(behind.stderr, /canary/);
    await postgres.start();
    const { code, stderr } = await runCli(args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(await linesOfPostgres(postgres.url, await runIdOf(out)), await linesOfDataset(out));
  });

  it("keeps the sink with the run, without its password, for workers elsewhere", async () => {
    const [source, out] = [await manyPhotos(tempDir(), 4), join(tempDir(), "out")];
    const redis = await startTestRedis();
    const queue = ["--redis-url", redis.url];
    try {
      const queued = await runCli(["enqueue", source, "--out", out, "--sink", postgres.url, ...queue]);
      assert.equal(queued.code, 0, queued.stderr);
      const runId = await runIdOf(out);
      assert.doesNotMatch(JSON.stringify(await redis.redis.hgetall(recordKey(runId, "run"))), /canary/);
      const worker = startCli(["work", ...queue, "--allow-root", source], { env });
      const count = async () =>
        (await postgres.query("SELECT count(*)::int AS n FROM labelmill.rows").catch(() => []))[0]?.n;
      while ((await count()) !== 4) {
        assert.equal(worker.process.exitCode, null, worker.stderr());
        await sleep(200);
      }
      worker.process.kill("SIGTERM");
      assert.equal((await worker.result).code, 0, worker.stderr());
      assert.deepEqual(await linesOfPostgres(postgres.url, runId), await linesOfDataset(out));
    } finally {
      await redis.close();
    }
  });

  it("delivers a run that completed while its sink was away by a worker that starts later", async () => {
    const [source, out] = [await manyPhotos(tempDir(), 2), join(tempDir(), "out")];
    const redis = await startTestRedis();
    const queue = ["--redis-url", redis.url];
    const workUntil = async (isSo: () => Promise<boolean>) => {
      const worker = startCli(["work", ...queue, "--allow-root", source], { env });
      while (!(await isSo())) {
        assert.equal(worker.process.exitCode, null, worker.stderr());
        await sleep(100);
      }
      worker.process.kill("SIGTERM");
      assert.equal((await worker.result).code, 0, worker.stderr());
    };
    try {
      await postgres.stop();
      const sink = postgres.urlWithoutPassword;
      const queued = await runCli(["enqueue", source, "--out", out, "--sink", sink, ...queue]);
      assert.equal(queued.code, 0, queued.stderr);
      const runId = await runIdOf(out);
      const field = (name: string) => redis.redis.hget(recordKey(runId, "run"), name);
      await workUntil(async () => (await field("state")) === "completed");
      await postgres.start();
      await workUntil(async () => (await field("sinks")) === "[]");
      assert.deepEqual(await linesOfPostgres(postgres.url, runId), await linesOfDataset(out));
    } finally {
      await redis.close();
    }
  });

  it("refuses a url that is no sink before anything is written", async () => {
    const out = join(tempDir(), "out");
    const { code, stderr } = await runCli(["run", photo, "--out", out, "--sink", "mysql://me:canary@host/db"]);
    assert.equal(code, 2);
    assert.match(stderr, /\[SINK_INVALID\]/);
    assert.doesNotMatch(stderr, /canary/);
    await assert.rejects(readdir(out));
  });
});
