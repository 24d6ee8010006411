import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type PinnedItem, readSealed, readSegments } from "../../src/dataset/items.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { openResults } from "../../src/results/open.js";
import { type Plan, planVariable } from "../chaos/plan.js";
import { runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const tables = join(projectRoot, "test/fixtures/tables");
const hooks = fileURLToPath(new URL("../chaos/hooks.js", import.meta.url));
const pinnedIn = async (out: string): Promise<PinnedItem[]> =>
  (await collect(readSegments(openStorage(out)))).flatMap(({ items }) => items);

describe("e2e/sources", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  let server: TestRedis;
  before(async () => {
    await resnet50ForTests();
    server = await startTestRedis();
  });
  after(() => server.close());

  const enqueueArgs = (sources: readonly string[], ...flags: string[]) =>
    ["enqueue", ...sources, "--out", join(tempDir(), "out"), "--redis-url", server.url, ...flags] as const;
  /** Starts an `enqueue` that is killed with -9 when it has pinned six segments. */
  const killHalfWay = async (args: readonly string[], stdin = "") => {
    const plan: Plan = {
      log: join(tempDir(), "passed.log"),
      acts: [{ point: "segment:after", nth: 6, what: "kill" }],
    };
    const env = { [planVariable]: JSON.stringify(plan) };
    const running = startCli(args, { cwd: tempDir(), env, preload: hooks });
    running.process.stdin?.end(stdin);
    assert.equal((await running.result).code, null);
  };
  const numbered = (count: number) => Array.from({ length: count }, (_, i) => `/i/${i}.jpg`);

  it("takes any mix of sources on one command line, in the order in which they are named", async () => {
    await mkdir(join(tempDir(), "photos"));
    for (const name of ["photos/b.jpg", "photos/a.jpg", "photos/c.png"]) await writeFile(join(tempDir(), name), "");
    await writeFile(join(tempDir(), "table.csv.gz"), gzipSync("uri,class\n/csv/1.jpg,cat\n,dog\n"));
    await writeFile(join(tempDir(), "more.jsonl"), '{"uri":"photos/c.png","class":"x"}\n');
    await copyFile(join(tables, "snappy.parquet"), join(tempDir(), "p.parquet"));
    const sources = ["photos", "photos/*.jpg", "table.csv.gz", "-", "more.jsonl"];
    const running = startCli(enqueueArgs(sources, "--keep-columns", "class", "--json"), { cwd: tempDir() });
    running.process.stdin?.end("/stdin/1.jpg\n\n/stdin/2.jpg");
    const { code, stdout, stderr } = await running.result;
    assert.equal(code, 0, stderr);
    const { items, leftOut } = JSON.parse(stdout);
    assert.deepEqual({ items, leftOut }, { items: 10, leftOut: { "not matched by the glob": 1, "blank line": 1 } });
    const pinned = await pinnedIn(join(tempDir(), "out"));
    assert.deepEqual(
      pinned.map(({ uri, line, extra, failure }) => [uri.replace(tempDir(), ""), line, extra?.class, failure?.code]),
      [
        ["/photos/a.jpg", undefined, undefined, undefined],
        ["/photos/b.jpg", undefined, undefined, undefined],
        ["/photos/c.png", undefined, undefined, undefined],
        ["/photos/a.jpg", undefined, undefined, undefined],
        ["/photos/b.jpg", undefined, undefined, undefined],
        ["/csv/1.jpg", 2, "cat", undefined],
        ["/table.csv.gz#line=3", 3, "dog", "ITEM_INVALID"],
        ["/stdin/1.jpg", 1, undefined, undefined],
        ["/stdin/2.jpg", 3, undefined, undefined],
        ["/photos/c.png", 1, "x", undefined],
      ],
    );
  });

  it("goes on after a kill -9 with an exact count, from a list, a packed table and Parquet alike", async () => {
    const count = 30_000;
    await writeFile(join(tempDir(), "list.txt"), numbered(count).join("\n"));
    await writeFile(
      join(tempDir(), "t.csv.gz"),
      gzipSync(
        `n,uri\n${numbered(count)
          .map((uri, i) => `${i},"${uri}"`)
          .join("\n")}`,
      ),
    );
    const sources = ["list.txt", "t.csv.gz", join(tables, "snappy.parquet")];
    const args = enqueueArgs(sources, "--chunk-size", "32", "--json");
    await killHalfWay(args);
    assert.equal(await readSealed(openStorage(join(tempDir(), "out"))), null);
    const { code, stdout, stderr } = await runCli(args, { cwd: tempDir() });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).items, 2 * count + 300);
    const uris = (await pinnedIn(join(tempDir(), "out"))).map(({ uri }) => uri);
    const rows = Array.from({ length: 300 }, (_, i) => join(tables, `photos/${String(i).padStart(4, "0")}.jpg`));
    assert.deepEqual(uris, [...numbered(count), ...numbered(count), ...rows]);
  });

  it("needs --out for stdin, and says that a list that was cut off cannot be gone on with", async () => {
    const nameless = await runCli(["enqueue", "-", "--redis-url", server.url], { cwd: tempDir() });
    assert.equal(nameless.code, 2);
    assert.match(nameless.stderr, /Expected `out` to be a directory or s3:.*where the source is stdin/);
    const args = enqueueArgs(["-"], "--chunk-size", "4");
    await killHalfWay(args, numbered(1_000).join("\n"));
    const again = startCli(args, { cwd: tempDir() });
    again.process.stdin?.end(numbered(1_000).join("\n"));
    const { code, stderr } = await again.result;
    assert.equal(code, 1);
    assert.match(stderr, /stdin cannot be read again; start a new run with another --out.*\[RUN_SOURCE_ONCE\]/);
  });

  it("does what is pinned, without reading stdin again, once its list is whole", async () => {
    const args = enqueueArgs(["-"], "--input-format", "csv", "--json");
    const first = startCli(args, { cwd: tempDir() });
    first.process.stdin?.end("uri\n/1\n/2\n");
    assert.equal(JSON.parse((await first.result).stdout).items, 2);
    const again = startCli(args, { cwd: tempDir() });
    const { code, stdout, stderr } = await again.result;
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).items, 2);
    assert.match(stderr, /the list is pinned already; the source is not read again/);
  });

  it("ends while it waits for stdin where it is interrupted", async () => {
    const running = startCli(enqueueArgs(["-"]), { cwd: tempDir() });
    running.process.stdin?.write("/1\n/2\n");
    while (!(await readdir(tempDir())).includes("out")) await sleep(5);
    running.process.kill("SIGINT");
    const [code] = await once(running.process, "exit");
    assert.equal(code, 130);
  });

  it("refuses a table without the column with status 2, and writes nothing", async () => {
    await writeFile(join(tempDir(), "t.csv"), "url,class\n/1,cat\n");
    const { code, stderr } = await runCli(enqueueArgs(["t.csv"]), { cwd: tempDir() });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /t\.csv has no "uri" among its columns, which are "url", "class"; see --uri-column.*\[RUN_SOURCE_COLUMNS\]/,
    );
    assert.deepEqual(await readdir(tempDir()), ["t.csv"]);
  });

  it("gives each row of a table its id, its line and its kept columns, in the dataset's rows", async () => {
    const photos = join(projectRoot, "examples/photos");
    const rows = [`${photos}/chelsea.png,c1,cat`, `${photos}/gone.png,c2,`, `"${photos}/coffee.png","open`];
    await writeFile(join(tempDir(), "t.csv"), `path,key,class\n${rows.join("\n")}\n`);
    const out = join(tempDir(), "labels");
    const flags = ["--uri-column", "path", "--id-column", "key", "--keep-columns", "class", "--json"];
    const { code, stderr } = await runCli(["run", join(tempDir(), "t.csv"), "--out", out, ...flags]);
    assert.equal(code, 3, stderr);
    const found = await collect((await openResults(out)).rows());
    assert.deepEqual(
      found
        .map(({ item_id, source_line, extra, error_code, label }) => [item_id, source_line, extra, error_code, label])
        .slice(0, 2),
      [
        ["c1", 2, { class: "cat" }, null, "Egyptian_cat"],
        ["c2", 3, { class: "" }, "FETCH_NOT_FOUND", null],
      ],
    );
    assert.deepEqual([found[2]?.source_line, found[2]?.error_code, found[2]?.extra], [4, "ITEM_INVALID", null]);
    assert.match(await readFile(join(out, "run.json"), "utf8"), /"uriColumn": ?"path"/);
  });
});
