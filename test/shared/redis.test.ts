import assert from "node:assert/strict";
import { once } from "node:events";
import { closeRedis, openRedis, redactUrl } from "../../src/shared/redis.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";

describe("shared/redis", () => {
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

  it("hides user and password of a url", () => {
    assert.equal(redactUrl("rediss://u:p@h:6379/0"), "rediss://***@h:6379/0");
    assert.equal(redactUrl("redis://h:6379"), "redis://h:6379");
  });
});
