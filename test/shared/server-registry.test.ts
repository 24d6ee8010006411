import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import { listServers, registerServer } from "../../src/shared/server-registry.js";
import { useTempDir } from "../support/temp-dir.js";

describe("shared/server-registry", () => {
  const tempDir = useTempDir();

  it("lists the private servers that run, by their runs and datasets, and no others", async () => {
    const stateDir = join(tempDir(), "state");
    assert.deepEqual(await listServers(stateDir), [], "there is no directory yet");
    const open = (runId: string) =>
      openPrivateRedis({
        runId,
        out: `/data/${runId}`,
        stateDir,
        socketDir: tempDir(),
        searchPath: process.env.PATH ?? "",
      });
    const servers = [await open("r1"), await open("r2")];
    // A command that was killed leaves its file, perhaps a half one.
    for (const name of ["dead", "half"]) await mkdir(join(stateDir, name));
    const dead = { runId: "dead", url: join(tempDir(), "dead.sock"), out: "/data/dead", startedAt: "2026" };
    await registerServer(join(stateDir, "dead"), dead);
    await writeFile(join(stateDir, "half", "server.json"), '{"runId":"ha');
    await writeFile(join(stateDir, "notes.txt"), "not a server");
    const found = await listServers(stateDir);
    assert.deepEqual(
      found.map(({ runId, out, url }) => ({ runId, out, url })),
      ["r1", "r2"].map((runId, i) => ({ runId, out: `/data/${runId}`, url: servers[i]?.url })),
    );
    for (const server of servers) await server.close({ discard: false });
    assert.deepEqual(await listServers(stateDir), []);
  });
});
