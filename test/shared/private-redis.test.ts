import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import type { Redis } from "../../src/shared/redis.js";
import { isAlive } from "../support/processes.js";
import { useTempDir } from "../support/temp-dir.js";

const searchPath = process.env.PATH ?? "";
const settingsIn = (dir: string) => ({
  runId: "r1",
  out: "/data/out",
  stateDir: join(dir, "state"),
  socketDir: join(dir, "socket"),
  searchPath,
});

describe("shared/private-redis", () => {
  const tempDir = useTempDir();

  it("starts a server that keeps a file and does not evict, behind a socket for this user only", async () => {
    const server = await openPrivateRedis(settingsIn(tempDir()));
    assert.equal(server.started, true);
    assert.match(await server.redis.info("memory"), /maxmemory_policy:noeviction/);
    assert.match(await server.redis.info("persistence"), /aof_enabled:1/);
    assert.equal((await stat(join(tempDir(), "socket"))).mode & 0o777, 0o700);
    await server.close({ discard: true });
    assert.deepEqual(await readdir(join(tempDir(), "state")), []);
  });

  it("attaches to a live server instead of replacing it", async () => {
    const first = await openPrivateRedis(settingsIn(tempDir()));
    await first.redis.set("key", "kept");
    const second = await openPrivateRedis(settingsIn(tempDir()));
    assert.equal(second.started, false);
    assert.equal(await second.redis.get("key"), "kept");
    await second.close({ discard: true });
    assert.equal(await first.redis.get("key"), "kept", "who attached must not end the server");
    await first.close({ discard: true });
  });

  it("starts one server when several commands ask at once", async () => {
    const servers = await Promise.all([1, 2, 3].map(() => openPrivateRedis(settingsIn(tempDir()))));
    assert.equal(servers.filter(({ started }) => started).length, 1);
    const ids = await Promise.all(
      servers.map(async ({ redis }) => /run_id:(\w+)/.exec(await redis.info("server"))?.[1]),
    );
    assert.equal(new Set(ids).size, 1);
    for (const server of servers.sort((a, b) => Number(a.started) - Number(b.started)))
      await server.close({ discard: true });
  });

  it("starts a server that was killed again, with all it held, and says so when it cannot", async () => {
    const server = await openPrivateRedis(settingsIn(tempDir()));
    await server.redis.set("key", "kept");
    for (let end = 1; end < 5; end += 1) {
      process.kill(await serverPid(server.redis), "SIGKILL");
      assert.equal(await server.redis.get("key"), "kept");
    }
    process.kill(await serverPid(server.redis), "SIGKILL");
    await assert.rejects(server.lost, { code: "REDIS_SERVER_FAILED" });
    await server.close({ discard: true });
  });

  it("names what to install where there is no server program", async () => {
    const settings = { ...settingsIn(tempDir()), searchPath: tempDir() };
    await assert.rejects(openPrivateRedis(settings), {
      code: "REDIS_SERVER_MISSING",
      message: /apt-get install redis-server/,
    });
  });

  it("ends the server after a kill -9 of its owner", async () => {
    const script = `
      const { openPrivateRedis } = await import(process.argv[1]);
      const { redis } = await openPrivateRedis(JSON.parse(process.argv[2]));
      const pid = /process_id:(\\d+)/.exec(await redis.info("server"))[1];
      process.stdout.write(pid + "\\n");
      setInterval(() => {}, 1000);`;
    const module = new URL("../../src/shared/private-redis.js", import.meta.url).href;
    const owner = spawn(process.execPath, [
      "--input-type=module",
      "-e",
      script,
      module,
      JSON.stringify(settingsIn(tempDir())),
    ]);
    const [pid = 0] = (await once(owner.stdout, "data")).map((data: Buffer) => Number(data.toString().trim()));
    assert.ok(isAlive(pid));
    owner.kill("SIGKILL");
    while (isAlive(pid)) await sleep(50);
  });
});

async function serverPid(redis: Redis): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await redis.info("server"))?.[1]);
}
