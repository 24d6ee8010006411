import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { silentLog } from "../../src/shared/log.js";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import { closeRedis, logAbsence, openRedis, redactUrl } from "../../src/shared/redis.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { useTempDir } from "../support/temp-dir.js";

describe("shared/redis", () => {
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.close());

  it("refuses a server that may evict, and names the fix", async () => {
    await server.redis.config("SET", "maxmemory-policy", "allkeys-lru");
    await assert.rejects(openRedis(server.url), { code: "REDIS_POLICY", message: /allkeys-lru.*noeviction/ });
    await server.redis.config("SET", "maxmemory-policy", "noeviction");
    (await openRedis(server.url)).disconnect();
  });

  it("says which address did not answer", async () => {
    await assert.rejects(openRedis("redis://user:secret@127.0.0.1:1"), (error: Error) => {
      assert.match(error.message, /No Redis answered at redis:\/\/\*\*\*@127\.0\.0\.1:1/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });

  it("does not wait for a server that goes away while it is checked", async () => {
    // As a private server does whose command has just ended: the client's own question at the start is answered still.
    const path = join(tempDir(), "going.sock");
    let asked = 0;
    const going = createServer((client) => {
      const real = connect(server.url);
      for (const socket of [client, real]) socket.on("error", () => {});
      real.pipe(client);
      client.on("data", (data) => {
        asked += /\binfo\b/i.test(String(data)) ? 1 : 0;
        if (asked < 2) return real.write(data);
        for (const socket of [client, real]) socket.destroy();
        return going.close();
      });
    }).listen(path);
    await once(going, "listening");
    const expected = { code: "REDIS_REFUSED", message: /going\.sock: it went away while it was asked/ };
    await assert.rejects(openRedis(path), expected);
    assert.equal(asked, 2);
  });

  it("ends a connection also while that waits to reconnect, and rejects what waits", async () => {
    const gone = await startTestRedis();
    const redis = await openRedis(gone.url);
    await gone.close();
    const waiting = redis.ping();
    while (redis.status !== "reconnecting") await once(redis, "reconnecting");
    closeRedis(redis);
    await assert.rejects(waiting, /Connection is closed/);
    assert.equal(redis.status, "end");
  });

  it("logs once that the server goes away, however often it tries, and once that it is back", async () => {
    const settings = {
      runId: "r1",
      out: "/data/out",
      stateDir: tempDir(),
      socketDir: tempDir(),
      searchPath: process.env.PATH ?? "",
    };
    const lines: string[] = [];
    const keep = (message: string) => void lines.push(message);
    const first = await openPrivateRedis(settings);
    const redis = await openRedis(first.url);
    // Not events.once, which rejects at each failed attempt to connect.
    const next = (event: string) => new Promise((resolve) => void redis.once(event, resolve));
    logAbsence(redis, { ...silentLog, info: keep, warn: keep });
    const away = "Redis does not answer; waiting for it";
    const back = "Redis answers again";
    await first.close({ discard: true });
    for (let attempt = 0; attempt < 3; attempt += 1) await next("reconnecting");
    assert.deepEqual(lines, [away]);
    const pong = redis.ping();
    const second = await openPrivateRedis(settings);
    assert.equal(await pong, "PONG");
    assert.deepEqual(lines, [away, back]);
    // Its keeper starts this one again by itself: an absence of its own.
    const pid = Number(/process_id:(\d+)/.exec(await redis.info("server"))?.[1]);
    process.kill(pid, "SIGKILL");
    await next("ready");
    assert.deepEqual(lines, [away, back, away, back]);
    closeRedis(redis);
    await second.close({ discard: true });
    assert.deepEqual(lines, [away, back, away, back], "an end that we asked for is no absence");
  });

  it("hides user and password of a url", () => {
    assert.equal(redactUrl("rediss://u:p@h:6379/0"), "rediss://***@h:6379/0");
    assert.equal(redactUrl("redis://h:6379"), "redis://h:6379");
  });
});
