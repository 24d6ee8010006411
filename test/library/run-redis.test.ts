import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveCall } from "../../src/library/context.js";
import { prepareRedis, requireRedis } from "../../src/library/run-redis.js";
import type { Redis } from "../../src/shared/redis.js";
import { startTestRedis } from "../support/redis.js";

const clientCount = async (redis: Redis) =>
  String(await redis.client("LIST"))
    .trim()
    .split("\n").length;

describe("library/run-redis", () => {
  it("checks a given Redis at once, leaves nothing open, and opens it for the run", async () => {
    const server = await startTestRedis();
    try {
      const before = await clientCount(server.redis);
      const open = await prepareRedis(resolveCall({ redisUrl: server.url }));
      while ((await clientCount(server.redis)) > before) await new Promise((resolve) => setTimeout(resolve, 5));
      const opened = await open({ runId: "run", out: "/data/out" });
      assert.equal(await opened.redis.ping(), "PONG");
      await opened.close({ discard: true });
      assert.equal(await server.redis.ping(), "PONG", "the caller's own server goes on");
    } finally {
      await server.close();
    }
  });

  it("refuses a Redis that does not answer, and a command that needs one without it", async () => {
    const dir = await mkdtemp(join(tmpdir(), "lm-"));
    const context = resolveCall({ redisUrl: join(dir, "nothing.sock") });
    await assert.rejects(prepareRedis(context), { code: "REDIS_REFUSED" });
    await assert.rejects(requireRedis(context), { code: "REDIS_REFUSED" });
    await assert.rejects(requireRedis(resolveCall({})), {
      code: "OPTION_INVALID",
      message: /--redis-url or REDIS_URL/,
    });
    await rm(dir, { recursive: true });
  });

  it("says at once that there is no server program to start", async () => {
    const context = resolveCall({});
    const without = { ...context, places: { ...context.places, searchPath: "/nowhere" } };
    await assert.rejects(prepareRedis(without), { code: "REDIS_SERVER_MISSING" });
  });
});
