import assert from "node:assert/strict";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { pushResults } from "../../src/library/push-results.js";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { useTempDir } from "../support/temp-dir.js";
import { linesOfDataset, linesOfLance, linesOfPostgres, linesOfRedis, writeItems } from "./pushed.js";

describe("delivery/every sink", function () {
  this.timeout(240_000);
  const tempDir = useTempDir();
  let postgres: TestPostgres;
  let database: PGlite;
  let withVectors: PGLiteSocketServer;
  let redis: TestRedis;
  before(async function () {
    const binaries = await findPostgres();
    const lance = await import("@lancedb/lancedb").catch(() => null);
    if (binaries === null || lance === null) return this.skip();
    postgres = await startTestPostgres(binaries);
    database = await PGlite.create({ extensions: { vector } });
    withVectors = new PGLiteSocketServer({ db: database, port: 0, host: "127.0.0.1", maxConnections: 8 });
    await withVectors.start();
    redis = await startTestRedis();
  });
  after(async () => {
    await withVectors?.stop();
    await database?.close();
    await postgres?.close();
    await redis?.close();
  });

  it("has the same 1,000 rows, every column of them, and embeddings of 2,048 floats bit for bit", async () => {
    const [out, lance] = [join(tempDir(), "out"), join(tempDir(), "lance")];
    const runId = await writeItems(out, 1_000, 2_048);
    const vectorUrl = `postgres://postgres@${withVectors.getServerConn()}/postgres`;
    const redisUrl = `redis://localhost/0?socket=${encodeURIComponent(redis.url)}`;
    const to = [postgres.url, vectorUrl, redisUrl, `lancedb://${encodeURI(lance)}`];
    const { parts, sinks } = await pushResults(out, { to });
    assert.deepEqual([parts, sinks.length], [63, 4]);
    const rows = await linesOfDataset(out);
    assert.equal(rows.size, 1_000);
    const places = {
      postgres: await linesOfPostgres(postgres.url, runId),
      pgvector: await linesOfPostgres(vectorUrl, runId),
      redis: await linesOfRedis(redis.redis, runId),
      lancedb: await linesOfLance(lance),
    };
    for (const [name, lines] of Object.entries(places)) {
      const unequal = [...rows].filter(([index, row]) => lines.get(index) !== row).map(([index]) => index);
      assert.deepEqual([name, lines.size, unequal], [name, 1_000, []]);
    }
  });
});
