import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, open, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { openResults } from "../../src/results/open.js";
import { runCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { startTestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { collect, useTempDir } from "../support/temp-dir.js";

const execute = promisify(execFile);
const photo = join(projectRoot, "examples/photos/chelsea.png");

describe("e2e/bad-input", function () {
  this.timeout(120_000);
  const tempDir = useTempDir();
  before(() => resnet50ForTests());

  /** Asserts the exit status and the one sentence, and that nothing is left behind. */
  async function assertRefused(args: string[], code: number, message: RegExp, env = {}): Promise<void> {
    const out = join(tempDir(), "out");
    const result = await runCli([...args, "--out", out], { cwd: tempDir(), env });
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
    assert.equal(result.stdout, "");
    assert.equal(await readdir(out).catch(() => "absent"), "absent", "nothing may be written");
  }

  it("refuses usage that cannot work with status 2", async () => {
    const empty = join(tempDir(), "empty");
    await mkdir(empty);
    await writeFile(join(tempDir(), "notes.md"), "x");
    await writeFile(join(tempDir(), "blank.txt"), "\n\n");
    await assertRefused(
      ["run", "nowhere"],
      2,
      /Expected `.*nowhere` to be a directory, a list, a table or a glob, but there is nothing there/,
    );
    await assertRefused(["run", empty], 2, /No items in `.*empty`: it is empty/);
    await assertRefused(["run", "notes.md"], 2, /got another file/);
    await assertRefused(["run", "blank.txt"], 2, /No items in/);
    await assertRefused(["run", empty, "--model", "vgg"], 2, /Unknown model `vgg`; known: resnet50/);
    await assertRefused(
      ["run", empty, "--batch-size", "0"],
      2,
      /Expected `batchSize` to be auto or an integer from 1 to 1024, got `0`/,
    );
    await assertRefused(["run", empty, "--batch-sice", "8"], 2, /unknown option '--batch-sice'/);
    await assertRefused(["run"], 2, /missing required argument/);
    await assertRefused(["run", empty], 2, /LABELMILL_TOP_K/, { LABELMILL_TOP_K: "many" });
    await assertRefused(["enqueue", join(projectRoot, "examples/photos")], 2, /redisUrl/);
  });

  it("says what it left out where a directory holds no images", async () => {
    await writeFile(join(tempDir(), "a.doc"), "x");
    await assertRefused(
      ["run", tempDir()],
      2,
      /1 left out: no image extension.*--all-files|1 left out: no image extension/,
    );
  });

  it("refuses a Redis that does not answer or may evict, with status 1", async () => {
    await assertRefused(
      ["run", photo.replace("/chelsea.png", ""), "--redis-url", "redis://127.0.0.1:1"],
      1,
      /No Redis answered at redis:\/\/127\.0\.0\.1:1/,
    );
    const server = await startTestRedis();
    await server.redis.config("SET", "maxmemory-policy", "volatile-lru");
    await assertRefused(
      ["run", photo.replace("/chelsea.png", ""), "--redis-url", server.url],
      1,
      /volatile-lru.*noeviction/,
    );
    await server.close();
  });

  it("refuses weights whose digest is not the pinned one, and says how to mend them", async () => {
    const { cacheDir } = await resnet50ForTests();
    const copy = join(tempDir(), "cache");
    await cp(join(cacheDir, "models"), join(copy, "models"), { recursive: true });
    const file = await open(join(copy, "models/resnet50/folded.safetensors"), "r+");
    await file.write(Buffer.from([0x7f]), 0, 1, 50_000_000);
    await file.close();
    const out = join(tempDir(), "out");
    const result = await runCli(["run", join(projectRoot, "examples/photos"), "--cache-dir", copy, "--out", out]);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /cached model resnet50 is damaged.*models pull resnet50 --force.*\[MODEL_CORRUPT\]/);
  });

  it("refuses an output that is another run's, naming the difference, or nobody's", async () => {
    const out = join(tempDir(), "out");
    const photos = join(projectRoot, "examples/photos");
    await runCli(["run", photos, "--out", out, "--limit", "1"]);
    const other = await runCli(["run", photos, "--out", out, "--top-k", "3", "--limit", "1"]);
    assert.equal(other.code, 2);
    assert.match(other.stderr, /topK 5 vs 3/);
    const foreign = join(tempDir(), "foreign");
    await mkdir(foreign);
    await writeFile(join(foreign, "thesis.tex"), "x");
    const refused = await runCli(["run", photos, "--out", foreign]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /holds thesis\.tex/);
    assert.deepEqual(await readdir(foreign), ["thesis.tex"]);
  });

  it("gives every odd file of a directory one row with its code, and labels the good ones", async () => {
    const dir = join(tempDir(), "odd");
    await mkdir(join(dir, "sub.jpg"), { recursive: true });
    const bytes = await readFile(photo);
    await execute("mkfifo", [join(dir, "fifo.jpg")]);
    await symlink("/dev/zero", join(dir, "device.jpg"));
    await symlink("/etc/passwd", join(dir, "out-of-tree.jpg"));
    await symlink(join(dir, "nothing"), join(dir, "broken.jpg"));
    await symlink("good [n=-1].png", join(dir, "inside.png"));
    await writeFile(join(dir, "empty.jpg"), "");
    await writeFile(join(dir, "text.jpg"), "not an image");
    await writeFile(join(dir, "truncated.png"), bytes.subarray(0, 90_000));
    await writeFile(join(dir, "huge.bin"), Buffer.alloc(3_000_000));
    await copyFile(photo, join(dir, "good [n=-1].png"));
    await copyFile(photo, join(dir, "line\nbreak.png"));
    await writeFile(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe]), Buffer.from(".png")]), bytes);
    const out = join(tempDir(), "out");
    const result = await runCli(["run", dir, "--all-files", "--out", out, "--json", "--max-item-bytes", "2000000"]);
    assert.equal(result.code, 3, result.stderr);
    const rows = await collect((await openResults(out)).rows({ columns: ["uri", "error_code", "label"] }));
    const codes = Object.fromEntries(rows.map((row) => [basename(row.uri), row.error_code ?? row.label]));
    assert.deepEqual(codes, {
      "%FF%FE.png": "Egyptian_cat",
      "broken.jpg": "FETCH_NOT_FOUND",
      "device.jpg": "POLICY_PATH",
      "empty.jpg": "DECODE_TRUNCATED",
      "fifo.jpg": "POLICY_PATH",
      "good [n=-1].png": "Egyptian_cat",
      "huge.bin": "FETCH_TOO_LARGE",
      "inside.png": "Egyptian_cat",
      "line\nbreak.png": "Egyptian_cat",
      "out-of-tree.jpg": "POLICY_PATH",
      "text.jpg": "DECODE_UNSUPPORTED",
      "truncated.png": "DECODE_TRUNCATED",
    });
  });

  it("stops with one sentence on a full disk, leaves nothing half-written, and goes on when there is room", async function () {
    if (process.getuid?.() !== 0) this.skip();
    const disk = join(tempDir(), "disk");
    await mkdir(disk);
    const mounted = await execute("mount", ["-t", "tmpfs", "-o", "size=40k", "tmpfs", disk]).then(
      () => true,
      () => false,
    );
    if (!mounted) this.skip();
    try {
      const args = ["run", join(projectRoot, "examples/photos"), "--out", join(disk, "out"), "--chunk-size", "1"];
      const full = await runCli([...args, "--outage-timeout-ms", "500"]);
      assert.equal(full.code, 1, full.stderr);
      assert.match(full.stderr, /No space left to write .*\[STORAGE_FULL\]/);
      const parts = await readdir(join(disk, "out/parts"));
      assert.ok(
        parts.every((name) => /^part-\d{8}\.parquet$/.test(name)),
        String(parts),
      );
      await execute("mount", ["-o", "remount,size=4m", disk]);
      const resumed = await runCli(args);
      assert.equal(resumed.code, 0, resumed.stderr);
      assert.equal((await collect((await openResults(join(disk, "out"))).rows({ columns: ["uri"] }))).length, 4);
      await execute("mount", ["-o", "remount,ro", disk]);
      const readOnly = await runCli(["run", join(projectRoot, "examples/photos"), "--out", join(disk, "other")]);
      assert.equal(readOnly.code, 1);
      assert.match(readOnly.stderr, /Cannot write .*\[STORAGE_READ_ONLY\]/);
    } finally {
      await execute("umount", [disk]);
    }
  });
});
