import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import pg from "pg";
import { pushResults } from "../../src/library/push-results.js";
import { startCli } from "../support/cli.js";
import { findPostgres, postgresPassword, startTestPostgres, type TestPostgres } from "../support/postgres.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { useTempDir } from "../support/temp-dir.js";
import {
  linesOfDataset,
  linesOfLance,
  linesOfPostgres,
  linesOfRedis,
  type RowLines,
  writeParts,
  writeRetry,
} from "./pushed.js";

/** `LABELMILL_KILL_ROUNDS=20` for the long version. */
const killRounds = Number(process.env.LABELMILL_KILL_ROUNDS ?? 2);
const parts = 24;

interface PlaceOfTest {
  readonly url: string;
  /** What child processes need to get in. */
  readonly env: Readonly<Record<string, string>>;
  lines(runId: string): Promise<RowLines>;
}

/** What every sink must do, on a fresh directory each. */
function behavesAsSink(place: () => PlaceOfTest, tempDir: () => string): void {
  const out = () => join(tempDir(), "out");
  const push = async () => pushResults(out(), { to: [place().url] });

  it("has every row, embeddings bit for bit, and once however often it is delivered", async () => {
    const runId = await writeParts(out(), 3, 64);
    await push();
    assert.deepEqual(await place().lines(runId), await linesOfDataset(out()));
    await writeParts(out(), 2, 64, 3);
    const { parts: told } = await push();
    await push();
    assert.equal(told, 5);
    assert.deepEqual(await place().lines(runId), await linesOfDataset(out()));
  });

  it("has the rows of a retry in the place of those that it had", async () => {
    const runId = await writeParts(out(), 4, 64);
    await push();
    const before = await place().lines(runId);
    await writeRetry(out(), [0, 2], 64);
    await push();
    const after = await place().lines(runId);
    assert.deepEqual(after, await linesOfDataset(out()));
    assert.notDeepEqual(after, before);
  });

  it("has every row once where three deliver at the same time", async () => {
    const runId = await writeParts(out(), 8, 16);
    await Promise.all([push(), push(), push()]);
    assert.deepEqual(await place().lines(runId), await linesOfDataset(out()));
  });

  it(`has every row once after ${killRounds} kills at any instant`, async function () {
    this.timeout(60_000 + 30_000 * killRounds);
    const runId = await writeParts(out(), parts, 256);
    const { url, env } = place();
    for (let round = 0; round < killRounds; round += 1) {
      const child = startCli(["results", "push", out(), "--to", url], { env });
      await Promise.race([sleep(randomInt(600, 2_500)), child.result]);
      child.process.kill("SIGKILL");
      await child.result;
    }
    await push();
    assert.deepEqual(await place().lines(runId), await linesOfDataset(out()));
  });
}

describe("delivery/deliver to Postgres", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let postgres: TestPostgres;
  before(async function () {
    const binaries = await findPostgres();
    if (binaries === null) return this.skip();
    postgres = await startTestPostgres(binaries);
  });
  after(() => postgres?.close());
  beforeEach(() => postgres.query("DROP SCHEMA IF EXISTS labelmill CASCADE"));

  const env = { PGPASSWORD: postgresPassword };
  const lines = (runId: string) => linesOfPostgres(postgres.url, runId);
  behavesAsSink(() => ({ url: postgres.url, env, lines }), tempDir);

  it("waits for a server that is stopped, and goes on when it is back", async () => {
    const out = join(tempDir(), "out");
    const runId = await writeParts(out, 4, 16);
    await postgres.stop("SIGKILL");
    const warnings: string[] = [];
    const log = { debug() {}, info() {}, error() {}, warn: (message: string) => void warnings.push(message) };
    const pushing = pushResults(out, { to: [postgres.url], log });
    while (warnings.length === 0) await sleep(20);
    await postgres.start();
    await pushing;
    assert.equal(warnings.length, 1);
    assert.deepEqual(await lines(runId), await linesOfDataset(out));
  });

  it("has the rows of a retry also where another process had the part in hand at first", async () => {
    const out = join(tempDir(), "out");
    const runId = await writeParts(out, 2, 16);
    await pushResults(out, { to: [postgres.url] });
    await writeRetry(out, [0, 1], 16);
    const other = new pg.Client({ connectionString: postgres.url });
    await other.connect();
    await other.query("SELECT pg_advisory_lock(hashtextextended($1, 0))", [`labelmill part labelmill ${runId} 0`]);
    let looks = 0;
    const onProgress = () => {
      looks += 1;
      // By then it has met the lock, and has looked again.
      if (looks === 8) void other.end();
    };
    await pushResults(out, { to: [postgres.url], onProgress });
    if (looks < 8) await other.end();
    assert.deepEqual(await lines(runId), await linesOfDataset(out));
  });

  it("takes the password of the environment, and shows none in messages", async () => {
    const out = join(tempDir(), "out");
    await writeParts(out, 1, 16);
    const push = ["results", "push", out, "--to"];
    const good = await startCli([...push, postgres.urlWithoutPassword, "--json"], { env }).result;
    assert.equal(good.code, 0, good.stderr);
    const wrong = postgres.url.replace("canary", "canary-wrong");
    const bad = await startCli([...push, wrong, "--log-level", "debug"]).result;
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /SINK_BEHIND/);
    assert.doesNotMatch(good.stdout + good.stderr + bad.stdout + bad.stderr, /canary/);
  });

  it("says at once that a password is missing", async () => {
    const out = join(tempDir(), "out");
    await writeParts(out, 1, 16);
    const none = { PGPASSFILE: join(tempDir(), "none"), HOME: tempDir() };
    const { code, stderr } = await startCli(["results", "push", out, "--to", postgres.urlWithoutPassword], {
      env: none,
    }).result;
    assert.equal(code, 1);
    assert.match(stderr, /refuses: it asks for a password, and none is given/);
  });

  it("refuses tables that are another's, naming the column", async () => {
    const out = join(tempDir(), "out");
    await writeParts(out, 1, 16);
    await postgres.query("CREATE SCHEMA labelmill");
    for (const table of ["runs", "parts"]) await postgres.query(`CREATE TABLE labelmill.${table} (id int)`);
    await postgres.query("CREATE TABLE labelmill.rows (run_id int)");
    await assert.rejects(pushResults(out, { to: [postgres.url] }), /column run_id of labelmill.rows must be text/);
  });

  it("takes a part again whose note was deleted, and leaves columns of the user alone", async () => {
    const out = join(tempDir(), "out");
    const runId = await writeParts(out, 2, 16);
    await pushResults(out, { to: [postgres.url] });
    await postgres.query("ALTER TABLE labelmill.rows ADD COLUMN note text DEFAULT 'mine'");
    await postgres.query("DELETE FROM labelmill.parts WHERE chunk = 0");
    await pushResults(out, { to: [postgres.url], index: true });
    assert.deepEqual(await lines(runId), await linesOfDataset(out));
    const [counted] = await postgres.query("SELECT count(*) AS n FROM labelmill.rows WHERE note = 'mine'");
    assert.equal(counted?.n, "32");
  });
});

describe("delivery/deliver to Postgres with pgvector", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let database: PGlite;
  let server: PGLiteSocketServer;
  let url = "";
  before(async () => {
    database = await PGlite.create({ extensions: { vector } });
    server = new PGLiteSocketServer({ db: database, port: 0, host: "127.0.0.1", maxConnections: 8 });
    await server.start();
    url = `postgres://postgres@${server.getServerConn()}/postgres`;
  });
  after(async () => {
    await server.stop();
    await database.close();
  });

  it("keeps float32 in vectors, and makes an hnsw index of 2,048 halves that finds a row by itself", async () => {
    const out = join(tempDir(), "out");
    const runId = await writeParts(out, 2, 2_048);
    const { sinks } = await pushResults(out, { to: [url], index: true });
    assert.equal(sinks[0]?.indexes.length, 2);
    assert.deepEqual(await linesOfPostgres(url, runId), await linesOfDataset(out));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(
      `SELECT item_index FROM labelmill.rows WHERE run_id = $1 ORDER BY embedding <=> (
         SELECT embedding FROM labelmill.rows WHERE run_id = $1 AND item_index = 7) LIMIT 1`,
      [runId],
    );
    await client.end();
    assert.equal(rows[0]?.item_index, "7");
  });
});

describe("delivery/deliver to Redis", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let redis: TestRedis;
  before(async () => {
    redis = await startTestRedis();
  });
  after(() => redis.close());
  beforeEach(() => redis.redis.flushall());

  const url = () => `redis://localhost/0?socket=${encodeURIComponent(redis.url)}`;
  behavesAsSink(() => ({ url: url(), env: {}, lines: (runId) => linesOfRedis(redis.redis, runId) }), tempDir);

  it("lets rows and their record go after the ttl", async () => {
    const out = join(tempDir(), "out");
    const runId = await writeParts(out, 1, 16);
    await pushResults(out, { to: [`${url()}&prefix=p&ttl=2h`] });
    for (const key of ["item:0", "parts", "run"]) {
      const ttl = await redis.redis.ttl(`p:${runId}:${key}`);
      assert.ok(ttl > 7_000 && ttl <= 7_200, `${key}: ${ttl}`);
    }
  });

  it("refuses a server that evicts", async () => {
    const out = join(tempDir(), "out");
    await writeParts(out, 1, 16);
    await redis.redis.config("SET", "maxmemory-policy", "allkeys-lru");
    try {
      await assert.rejects(pushResults(out, { to: [url()] }), /it may drop keys when its memory is full/);
    } finally {
      await redis.redis.config("SET", "maxmemory-policy", "noeviction");
    }
  });
});

describe("delivery/deliver to LanceDB", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(async function () {
    await import("@lancedb/lancedb").catch(() => this.skip());
  });
  const directory = () => join(tempDir(), "lance é");
  const url = () => `lancedb://${encodeURI(directory())}`;
  behavesAsSink(() => ({ url: url(), env: {}, lines: () => linesOfLance(directory()) }), tempDir);
});
