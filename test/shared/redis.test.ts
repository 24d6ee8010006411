import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "../../src/shared/log.js";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import { closeRedis, logAbsence, openRedis } from "../../src/shared/redis.js";
import { freePort } from "../support/free-port.js";
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

  it("says of a url that is none how to write it, without the password", async () => {
    for (const url of ["redis://u:CAN/ARY@127.0.0.1:1", "redis://:CANARY@127.0.0.1:99999", "redis://:CANARY@[bad"]) {
      const error = await openRedis(url).then(
        () => assert.fail("connected"),
        (thrown: Error) => thrown,
      );
      assert.match(error.message, /redis:\/\/\*\*\*@.*it is no url; .*%2F for \//);
      assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /CAN|ARY/);
    }
  });

  it("connects by a socket as a user with a password", async () => {
    await server.redis.acl("SETUSER", "mill", "on", ">p?ss@rd/", "~*", "&*", "+@all");
    const url = `${server.url}?username=mill&password=${encodeURIComponent("p?ss@rd/")}`;
    const redis = await openRedis(url);
    assert.equal(await redis.acl("WHOAMI"), "mill");
    closeRedis(redis);
    await assert.rejects(openRedis(`${server.url}?username=mill&password=CANARY`), (error: Error) => {
      assert.match(error.message, /WRONGPASS/);
      assert.doesNotMatch(error.message, /CANARY/);
      return true;
    });
  });

  it("refuses a member of a cluster, whose keys are elsewhere", async () => {
    const directory = tempDir();
    const socket = join(directory, "cluster.sock");
    const settings = ["--port", "0", "--unixsocket", socket, "--cluster-enabled", "yes", "--dir", directory];
    // A cluster wants a port for its members: any that is free.
    const child = spawn("redis-server", [...settings, "--cluster-port", String(await freePort())], { stdio: "ignore" });
    try {
      while (!existsSync(socket) && child.exitCode === null) await sleep(20);
      await assert.rejects(openRedis(`unix://${socket}`), { code: "REDIS_MODE", message: /runs as cluster/ });
    } finally {
      child.kill("SIGKILL");
    }
  });
});
