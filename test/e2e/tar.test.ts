import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readSealed, readSegments } from "../../src/dataset/items.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { openResults } from "../../src/results/open.js";
import { runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { createRangeServer } from "../support/range-server.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { tarMember, tarOf } from "../support/tar.js";
import { collect, useTempDir } from "../support/temp-dir.js";

describe("e2e/tar", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let redis: TestRedis;
  let server: Server;
  let origin: string;
  before(async () => {
    await resnet50ForTests();
    redis = await startTestRedis();
  });
  after(() => redis.close());
  beforeEach(async () => {
    server = createRangeServer(tempDir()).listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://h.localhost:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const photo = (name: string) => readFile(join(projectRoot, "examples/photos", name));
  const web = ["--allow-private", "127.0.0.1"];

  it("labels the images of shards here and on a web server, a single address and stdin, as it does files", async () => {
    const [cat, coffee] = [await photo("chelsea.png"), await photo("coffee.png")];
    const first = { name: "a/cat.png", data: cat };
    const sample = [first, { name: "a/cat.json", data: "{}" }, { name: "a/coffee.png", data: coffee }];
    await writeFile(join(tempDir(), "s-00.tar"), tarOf(sample));
    const cut = tarMember(first).subarray(0, 600);
    await writeFile(join(tempDir(), "s-01.tar"), Buffer.concat([...sample.map(tarMember), cut]));
    await writeFile(join(tempDir(), "cat.png"), cat);
    await writeFile(join(tempDir(), "list.txt"), "cat.png\n");
    const sources = ["s-{00..01}.tar", `${origin}/s-00.tar`, `${origin}/cat.png`, `${origin}/list.txt`, "-"];
    const running = startCli(["run", ...sources, "--out", "out", "--json", ...web], { cwd: tempDir() });
    running.process.stdin?.end("cat.png\n");
    const { code, stdout, stderr } = await running.result;
    assert.equal(code, 3, stderr);
    assert.deepEqual(JSON.parse(stdout).failuresByCode, { ITEM_INVALID: 1 });
    const rows = await collect((await openResults(join(tempDir(), "out"))).rows());
    const [catLabel, coffeeLabel] = ["Egyptian_cat", "espresso"];
    assert.deepEqual(
      rows.map(({ item_id, label }) => (item_id.length === 32 ? label : [item_id, label])),
      [
        ["a/cat", catLabel],
        ["a/coffee", coffeeLabel],
        ["a/cat", catLabel],
        ["a/coffee", coffeeLabel],
        null,
        ["a/cat", catLabel],
        ["a/coffee", coffeeLabel],
        catLabel,
        catLabel,
        catLabel,
      ],
    );
    assert.match(rows[4]?.error_message ?? "", /s-01\.tar, byte \d+: it is cut off in the middle of "a\/cat\.png"/);
    assert.equal(new Set(rows.filter(({ label }) => label === catLabel).map(({ sha256 }) => sha256)).size, 1);
  });

  it("goes on after a kill -9 with an exact count, in the middle of a shard here and on a web server", async () => {
    const members = Array.from({ length: 3_000 }, (_, i) => ({ name: `${i}.jpg`, data: "x" }));
    for (const name of ["a.tar", "b.tar"]) await writeFile(join(tempDir(), name), tarOf(members));
    const args = [
      "enqueue",
      "[a].tar",
      `${origin}/b.tar`,
      "--out",
      "out",
      "--redis-url",
      redis.url,
      "--chunk-size",
      "8",
      ...web,
    ];
    // Each kill falls after some more segments, the second one most likely in the other shard.
    for (const segments of [6, 12]) {
      const running = startCli(args, { cwd: tempDir() });
      while ((await readdir(join(tempDir(), "out/items")).catch(() => [])).length < segments) await sleep(1);
      running.process.kill("SIGKILL");
      await running.result;
    }
    const { code, stderr } = await runCli(args, { cwd: tempDir() });
    assert.equal(code, 0, stderr);
    const storage = openStorage(join(tempDir(), "out"));
    assert.equal((await readSealed(storage))?.items, 6_000);
    const ids = (await collect(readSegments(storage))).flatMap(({ items }) => items.map(({ id }) => id));
    assert.deepEqual(
      ids,
      [...members, ...members].map(({ name }) => name.slice(0, -4)),
    );
  });

  it("asks for lists and shards by the address policy, and refuses credentials in an address, with nothing written", async () => {
    await writeFile(join(tempDir(), "s.tar"), tarOf([{ name: "a.jpg" }]));
    const enqueue = (...args: string[]) =>
      runCli(["enqueue", ...args, "--out", "out", "--redis-url", redis.url], { cwd: tempDir() });
    const closed = await enqueue(`${origin}/s.tar`);
    assert.equal(closed.code, 1);
    assert.match(closed.stderr, /loopback address.*\[RUN_SOURCE_UNREADABLE\]/);
    const secret = await enqueue("https://h/s.tar?sig=hunter2");
    assert.equal(secret.code, 2);
    assert.match(secret.stderr, /parameter sig is a credential.*\[RUN_SOURCE_KIND\]/);
    assert.ok(!secret.stderr.includes("hunter2"));
    assert.deepEqual(await readdir(tempDir()), ["s.tar"]);
  });
});
