import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openResults } from "../../src/results/open.js";
import { verifyResults } from "../../src/results/verify.js";
import { runCli, startCli } from "../support/cli.js";
import { cosine } from "../support/cosine.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot, requireShared } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

/** Serves one photo under any number of names, each with a tag and with bytes of its own behind the image. */
async function startPhotoServer(photo: Buffer) {
  const versions = new Map<string, number>();
  const broken = new Set<string>();
  const silent = new Set<string>();
  const answers: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = request.url ?? "";
    const tag = `"v${versions.get(path) ?? 0}"`;
    const status = broken.has(path) ? 503 : request.headers["if-none-match"] === tag ? 304 : 200;
    if (silent.has(path)) return;
    answers.push(`${status} ${path}`);
    response.writeHead(status, { etag: tag });
    response.end(status === 200 ? Buffer.concat([photo, Buffer.from(`${path} ${tag}`)]) : undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    versions,
    broken,
    silent,
    uri: (path: string) => `${origin}${path}`,
    /** Since it was asked last. */
    takeAnswers: () => answers.splice(0).sort(),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("e2e/reprocess", function () {
  this.timeout(180_000);
  const tempDir = useTempDir();
  let server: Awaited<ReturnType<typeof startPhotoServer>>;
  before(() => resnet50ForTests());
  beforeEach(async () => {
    server = await startPhotoServer(await readFile(join(projectRoot, "examples/photos/rocket.jpg")));
  });
  afterEach(() => server.close());

  const at = (name: string) => join(tempDir(), name);
  const web = ["--allow-private", "127.0.0.1", "--fetch-retries", "0", "--json"];
  const rowsOf = async (out: string) => collect((await openResults(out)).rows());

  async function cli(args: readonly string[], expected = 0) {
    const { code, stdout, stderr } = await runCli(args, { cwd: tempDir(), env: { XDG_STATE_HOME: at("state") } });
    assert.equal(code, expected, stderr);
    return JSON.parse(stdout);
  }

  const writeList = (paths: readonly string[]) => writeFile(at("list.txt"), paths.map(server.uri).join("\n"));

  it("asks servers what has changed, fetches that alone, and carries all else over bit for bit", async () => {
    await writeList(["/a.jpg", "/b.jpg", "/c.jpg", "/gone.jpg"]);
    await cli(["run", "list.txt", "--out", at("old"), "--chunk-size", "2", ...web]);
    server.takeAnswers();
    server.versions.set("/b.jpg", 1);
    await writeList(["/new.jpg", "/a.jpg", "/b.jpg", "/c.jpg"]);
    const plan = await cli(["plan", "list.txt", "--against", at("old"), "--json"]);
    assert.deepEqual(server.takeAnswers(), []);
    assert.deepEqual([plan.classes.new, plan.classes.unknown, plan.gone, plan.toDo, plan.toAsk], [1, 3, 1, 1, 3]);
    const only = ["--only", "new,changed,failed", "--against", at("old")];
    const summary = await cli(["run", "list.txt", "--out", at("new"), ...only, ...web]);
    assert.deepEqual(server.takeAnswers(), ["200 /b.jpg", "200 /new.jpg", "304 /a.jpg", "304 /c.jpg"]);
    assert.deepEqual([summary.items, summary.ok, summary.carried], [4, 4, 2]);
    assert.deepEqual((await verifyResults(at("new"))).problems, []);
    const [before, now] = [await rowsOf(at("old")), await rowsOf(at("new"))];
    const own = { run_id: "", item_index: 0, source_line: 0 };
    assert.deepEqual({ ...now[1], ...own }, { ...before[0], ...own });
    assert.equal(now[2]?.etag, '"v1"');
  });

  it("leaves two valid datasets when it is killed, and asks for nothing twice that was committed", async () => {
    await writeList(["/0.jpg", "/1.jpg", "/2.jpg"]);
    await cli(["run", "list.txt", "--out", at("old"), ...web]);
    server.versions.set("/0.jpg", 1);
    server.silent.add("/2.jpg");
    server.takeAnswers();
    const rerun = ["run", "list.txt", "--against", at("old"), "--out", at("new"), "--chunk-size", "1", ...web];
    const killed = startCli(rerun, { cwd: tempDir(), env: { XDG_STATE_HOME: at("state") } });
    const parts = () => readdir(at("new/parts")).catch(() => []);
    while ((await parts()).filter((name) => name.startsWith("part-")).length < 2) await sleep(20);
    killed.process.kill("SIGKILL");
    await killed.result;
    assert.deepEqual(server.takeAnswers(), ["200 /0.jpg", "304 /1.jpg"]);
    for (const out of ["old", "new"]) assert.deepEqual((await verifyResults(at(out))).problems, []);
    server.silent.clear();
    const summary = await cli(rerun);
    assert.deepEqual(server.takeAnswers(), ["304 /2.jpg"]);
    assert.deepEqual([summary.ok, (await verifyResults(at("new"))).problems], [3, []]);
  });

  it("refuses to put rows of another form beside those that are carried over, and says what differs", async () => {
    await writeList(["/a.jpg"]);
    await cli(["run", "list.txt", "--out", at("old"), ...web]);
    const asked = ["--only", "new", "--against", at("old"), "--top-k", "1"];
    const { code, stderr } = await runCli(["run", "list.txt", "--out", at("new"), ...asked], { cwd: tempDir() });
    assert.equal(code, 2);
    assert.match(stderr, /topK 5 vs 1 asked for; name stale in --only.* \[RUN_STALE\]/);
    const plan = await cli(["plan", "list.txt", "--against", at("old"), "--top-k", "1", "--json"]);
    assert.deepEqual([plan.classes.stale, plan.toDo, plan.toAsk], [1, 1, 0]);
  });

  it("finds every row stale with another model, and diff counts what a plain comparison of the rows counts", async function () {
    const photos = await requireShared(this, "photos-labelled");
    const select = ["--limit", "100", "--json"];
    await cli(["run", photos, "--out", at("a"), ...select]);
    const other = ["--precision", "int8", "--against", at("a")];
    const plan = await cli(["plan", photos, ...other, ...select]);
    assert.deepEqual([plan.items, plan.classes.stale, plan.toDo, plan.gone], [100, 100, 100, 0]);
    const summary = await cli(["run", photos, "--out", at("b"), ...other, ...select]);
    assert.deepEqual([summary.items, summary.carried, summary.precision], [100, 0, "int8"]);
    const found = await cli(["diff", at("a"), at("b"), "--json"]);

    const [a, b] = [await rowsOf(at("a")), await rowsOf(at("b"))];
    const byId = new Map(b.map((row) => [row.item_id, row]));
    const pairs = a.map((row) => [row, byId.get(row.item_id)] as const);
    const flips = pairs.filter(([x, y]) => x.label !== y?.label).map(([x, y]) => `${x.label} to ${y?.label}`);
    assert.ok(flips.length > 0);
    assert.equal(found.flipped, flips.length);
    const counted = found.flips.flatMap(({ from, to, count }: { from: string; to: string; count: number }) =>
      Array.from({ length: count }, () => `${from} to ${to}`),
    );
    assert.deepEqual(counted.sort(), flips.sort());
    const cosines = pairs.map(([x, y]) =>
      cosine(x.embedding ?? new Float32Array(), y?.embedding ?? new Float32Array()),
    );
    const mean = cosines.reduce((sum, value) => sum + value, 0) / 100;
    assert.deepEqual([found.cosine.count, found.cosine.min], [100, Math.min(...cosines)]);
    assert.ok(Math.abs(found.cosine.mean - mean) < 1e-12);
    const shift = pairs.reduce((sum, [x, y]) => sum + (y?.score ?? 0) - (x.score ?? 0), 0) / 100;
    assert.ok(Math.abs(found.scoreShift.mean - shift) < 1e-12);
  });

  it("retries exactly what failed, in the run's own dataset", async () => {
    const paths = Array.from({ length: 7 }, (_, i) => `/${i}.jpg`);
    await writeList(paths);
    for (const path of ["/1.jpg", "/2.jpg", "/6.jpg"]) server.broken.add(path);
    const out = at("out");
    const first = await cli(["run", "list.txt", "--out", out, "--chunk-size", "2", ...web], 3);
    assert.deepEqual([first.ok, first.failuresByCode], [4, { FETCH_STATUS: 3 }]);
    const before = await rowsOf(out);
    server.takeAnswers();
    server.broken.delete("/1.jpg");
    server.broken.delete("/6.jpg");
    const second = await cli(["runs", "retry", out, "--where", "code=FETCH_STATUS", ...web], 3);
    assert.deepEqual(server.takeAnswers(), ["200 /1.jpg", "200 /6.jpg", "503 /2.jpg"]);
    assert.deepEqual([second.runId, second.items, second.ok, second.out], [first.runId, 7, 6, out]);
    const after = await rowsOf(out);
    assert.deepEqual(
      after.map(({ run_id, item_index, status }) => `${run_id === first.runId} ${item_index} ${status}`),
      paths.map((_, i) => `true ${i} ${i === 2 ? "failed" : "ok"}`),
    );
    for (const i of [0, 3, 4, 5]) assert.deepEqual(after[i], before[i]);
    // Of chunk 2 nothing was retried.
    const parts = ["part-00000000.parquet", "part-00000001.parquet", "part-00000003.parquet"];
    assert.deepEqual((await readdir(join(out, "retry-0001/parts"))).sort(), parts);
    const verified = await verifyResults(out);
    assert.deepEqual([verified.problems, verified.ok, verified.failed], [[], 6, 1]);

    server.broken.clear();
    assert.equal((await cli(["runs", "retry", out, "--failed", ...web])).failed, 0);
    assert.deepEqual(server.takeAnswers(), ["200 /2.jpg"]);
    assert.equal((await cli(["run", "list.txt", "--out", out, "--chunk-size", "2", ...web])).ok, 7);
    assert.deepEqual((await verifyResults(out)).problems, []);
  });

  it("shows a retry that is killed as nothing, and goes on with it", async () => {
    await writeList(["/0.jpg", "/1.jpg", "/2.jpg"]);
    for (const path of ["/0.jpg", "/2.jpg"]) server.broken.add(path);
    const out = at("out");
    await cli(["run", "list.txt", "--out", out, "--chunk-size", "1", ...web], 3);
    server.broken.clear();
    server.silent.add("/2.jpg");
    const env = { XDG_STATE_HOME: at("state") };
    const retry = startCli(["runs", "retry", out, "--failed", ...web], { cwd: tempDir(), env });
    const first = join(out, "retry-0001/parts/part-00000000.parquet");
    while (!(await readFile(first).then(Boolean, () => false))) await sleep(20);
    retry.process.kill("SIGKILL");
    await retry.result;
    assert.deepEqual([(await openResults(out)).summary?.ok, (await rowsOf(out))[0]?.status], [1, "failed"]);
    assert.deepEqual((await verifyResults(out)).problems, []);
    server.silent.clear();
    server.takeAnswers();
    const other = ["runs", "retry", out, "--where", "code=FETCH_STATUS", ...web];
    const refused = await runCli(other, { cwd: tempDir(), env });
    assert.match(refused.stderr, /retry-0001 was begun .* it is of failed in .* \[RUN_RETRY\]/);
    assert.equal((await cli(["runs", "retry", out, "--failed", ...web])).ok, 3);
    assert.deepEqual(server.takeAnswers(), ["200 /2.jpg"]);
    assert.deepEqual((await verifyResults(out)).problems, []);
  });
});
