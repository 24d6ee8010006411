import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileShard, openTarGlob } from "../../../src/producer/source/tar-file.js";
import { tarMember, tarOf } from "../../support/tar.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

const selection = { include: [], exclude: [], allFiles: false };

describe("producer/source/tar-file", () => {
  const tempDir = useTempDir();

  it("reads at any offset, and fewer bytes than asked for at the end alone", async () => {
    const path = join(tempDir(), "s.tar");
    const large = Array.from({ length: 20 }, (_, i) => ({ name: `${i}.jpg`, data: Buffer.alloc(1_000_000) }));
    await writeFile(path, tarOf(large));
    const { input, close } = await fileShard(Buffer.from(path), path).open(0);
    for (const [i, member] of large.entries()) {
      const header = await input.read(i * tarMember(member).length, 512);
      assert.match(header.toString("latin1"), new RegExp(`^${i}\\.jpg\0`));
    }
    assert.equal((await input.read(input.size, 512)).length, 0);
    assert.equal((await input.read(input.size - 100, 512)).length, 100);
    await close();
  });

  it("gives every shard that a glob matches, in order, and goes on in the middle of any", async () => {
    await mkdir(join(tempDir(), "b,c"));
    for (const name of ["2.tar", "1.tar", "b,c/3.tar"])
      await writeFile(
        join(tempDir(), name),
        tarOf(["x", "y"].map((key) => ({ name: `${name.slice(-5, -4)}${key}.jpg`, data: "1" }))),
      );
    await writeFile(join(tempDir(), "0.tar"), "no archive");
    await writeFile(join(tempDir(), "notes.txt"), "");
    const source = openTarGlob(tempDir(), "**/*.tar", selection);
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ id, failure }) => id ?? failure?.code),
      ["ITEM_INVALID", "1x", "1y", "2x", "2y", "3x", "3y"],
    );
    assert.deepEqual(source.leftOut(), { "not matched by the glob": 1 });
    assert.deepEqual(source.roots, [tempDir()]);
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
  });

  it("gives a directory that may not be read as an item that fails, and goes on behind it", async () => {
    const closed = join(tempDir(), "a");
    await mkdir(closed);
    await writeFile(join(tempDir(), "b.tar"), tarOf([{ name: "x.jpg", data: "1" }]));
    const isRoot = process.geteuid?.() === 0;
    // A superuser may read everything.
    await chmod(tempDir(), 0o755);
    await chmod(closed, 0o000);
    if (isRoot) process.seteuid?.("nobody");
    try {
      const source = openTarGlob(tempDir(), "**/*.tar", selection);
      const items = await collect(source.items(null));
      assert.deepEqual(
        items.map(({ id, failure }) => id ?? failure?.code),
        ["FETCH_DENIED", "x"],
      );
      for (const [i, { token }] of items.entries())
        assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(closed, 0o755);
    }
  });

  it("does not wait for the writer of a FIFO", async () => {
    await promisify(execFile)("mkfifo", [join(tempDir(), "f.tar")]);
    await assert.rejects(collect(openTarGlob(tempDir(), "*.tar", selection).items(null)), {
      code: "RUN_SOURCE_UNREADABLE",
      message: /f\.tar: it is not a regular file/,
    });
  });
});
