import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { openDirectory } from "../../../src/producer/source/directory.js";
import type { Selection } from "../../../src/producer/source/source.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

const all: Selection = { include: [], exclude: [], allFiles: true };
const images: Selection = { ...all, allFiles: false };

describe("producer/source/directory", () => {
  const tempDir = useTempDir();
  const write = async (...names: (string | Buffer)[]) => {
    for (const name of names) {
      const path = Buffer.concat([Buffer.from(`${tempDir()}/`), Buffer.from(name)]);
      await mkdir(Buffer.from(path.subarray(0, path.lastIndexOf("/"))), { recursive: true });
      await writeFile(path, "x");
    }
  };
  const namesOf = async (selection: Selection, after: string | null = null) => {
    const items = await collect(openDirectory(tempDir(), selection).items(after));
    return items.map(({ uri }) => uri.replace(`${tempDir()}/`, ""));
  };

  it("gives files depth first, in the byte order of names, whatever order they were made in", async () => {
    await write("b/2.jpg", "a.jpg", "b/1.jpg", "B.jpg", "b.jpg", "é.jpg");
    assert.deepEqual(await namesOf(all), ["B.jpg", "a.jpg", "b/1.jpg", "b/2.jpg", "b.jpg", "é.jpg"]);
  });

  it("goes on after any item, also when that item is gone and others have come", async () => {
    await write("a.jpg", "b/1.jpg", "b/2.jpg", "c.jpg");
    const items = await collect(openDirectory(tempDir(), all).items(null));
    for (const [i, { token }] of items.entries()) {
      assert.deepEqual(await namesOf(all, token), ["a.jpg", "b/1.jpg", "b/2.jpg", "c.jpg"].slice(i + 1));
    }
    await write("b/15.jpg", "aa.jpg");
    const afterMissing = Buffer.from("b/12.jpg").toString("base64");
    assert.deepEqual(await namesOf(all, afterMissing), ["b/15.jpg", "b/2.jpg", "c.jpg"]);
  });

  it("takes known image extensions in any case, and counts the others", async () => {
    await write("a.JPEG", "b.Png", "c.txt", "d", ".hidden.webp", "sub.jpg/e.gif");
    const source = openDirectory(tempDir(), images);
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri }) => uri.replace(`${tempDir()}/`, "")),
      [".hidden.webp", "a.JPEG", "b.Png", "sub.jpg/e.gif"],
    );
    assert.deepEqual(source.leftOut(), { "no image extension": 2 });
  });

  it("applies include and exclude globs, without a slash to the name alone", async () => {
    await write("a.jpg", "x/a.jpg", "x/y/b.jpg", "notes.txt");
    assert.deepEqual(await namesOf({ ...images, include: ["a.*"] }), ["a.jpg", "x/a.jpg"]);
    assert.deepEqual(await namesOf({ ...images, include: ["x/**"] }), ["x/a.jpg", "x/y/b.jpg"]);
    assert.deepEqual(await namesOf({ ...images, include: ["*.txt"] }), ["notes.txt"]);
    assert.deepEqual(await namesOf({ ...images, exclude: ["x/y/**"] }), ["a.jpg", "x/a.jpg"]);
  });

  it("keeps names that are not UTF-8, hold newlines or look like patterns", async () => {
    await write(Buffer.from([0xff, 0x2e, 0x6a, 0x70, 0x67]), "[n=-1].jpg", "a\nb.jpg");
    const uris = (await collect(openDirectory(tempDir(), images).items(null))).map(({ uri }) => uri);
    assert.deepEqual(uris, [`${tempDir()}/[n=-1].jpg`, `${tempDir()}/a\nb.jpg`, `file://${tempDir()}/%FF.jpg`]);
  });

  it("takes links to files and broken links as items, and does not follow links to directories", async () => {
    await write("real/a.jpg");
    await symlink(join(tempDir(), "real/a.jpg"), join(tempDir(), "link.jpg"));
    await symlink(join(tempDir(), "nowhere"), join(tempDir(), "broken.jpg"));
    await symlink(tempDir(), join(tempDir(), "loop.jpg"));
    assert.deepEqual(await namesOf(images), ["broken.jpg", "link.jpg", "real/a.jpg"]);
  });

  it("gives a directory that lies deeper than paths are long as an item that fails, and goes on behind it", async () => {
    await write("a/1.jpg", "b.jpg");
    const top = join(tempDir(), "a/deep");
    const name = "d".repeat(200);
    const step = `mkdir ${name} && cd -P ${name}`;
    const shell = promisify(execFile);
    await shell("sh", [
      "-c",
      `mkdir "$0" && cd "$0" && i=0; while [ $i -lt 25 ]; do ${step} || exit 1; i=$((i+1)); done`,
      top,
    ]);
    try {
      const source = openDirectory(tempDir(), all);
      const items = await collect(source.items(null));
      assert.deepEqual(
        items.map(({ failure }) => failure?.code),
        [undefined, "ITEM_INVALID", undefined],
      );
      assert.match(items[1]?.failure?.message ?? "", /its path has 4\d{3} bytes, more than this system reads/);
      for (const [i, { token }] of items.entries())
        assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
    } finally {
      // Node's own `rm` takes whole paths.
      await shell("rm", ["-rf", top]);
    }
  });

  it("gives a directory that may not be read as an item that fails, and goes on behind it", async () => {
    await write("a.jpg", "b/lost/1.jpg", "b/lost.jpg", "c.jpg");
    const lost = join(tempDir(), "b/lost");
    const isRoot = process.geteuid?.() === 0;
    // A superuser may read everything.
    await chmod(tempDir(), 0o755);
    await chmod(lost, 0o000);
    if (isRoot) process.seteuid?.("nobody");
    try {
      const given = (await collect(openDirectory(tempDir(), all).items(null))).map(({ token, ...item }) => item);
      assert.deepEqual(
        given.map(({ uri, failure }) => [uri.replace(`${tempDir()}/`, ""), failure?.code]),
        [
          ["a.jpg", undefined],
          ["b/lost", "FETCH_DENIED"],
          ["b/lost.jpg", undefined],
          ["c.jpg", undefined],
        ],
      );
      const items = await collect(openDirectory(tempDir(), all).items(null));
      for (const [i, { token }] of items.entries())
        assert.deepEqual(await collect(openDirectory(tempDir(), all).items(token)), items.slice(i + 1));
      const before = Buffer.from("b/lost/0.jpg").toString("base64");
      assert.deepEqual(await namesOf(all, before), ["b/lost", "b/lost.jpg", "c.jpg"]);
      assert.deepEqual(await namesOf({ ...all, exclude: ["b/lost/**"] }), ["a.jpg", "b/lost.jpg", "c.jpg"]);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(lost, 0o755);
    }
  });

  it("enters directories of which an exclude glob takes some files alone", async () => {
    await write("x.jpg/a.png", "y/b/c.png", "z/d.png", "k/e.png");
    const given = await namesOf({ ...all, exclude: ["*.jpg", "y/*", "z/**"] });
    assert.deepEqual(given, ["k/e.png", "x.jpg/a.png", "y/b/c.png"]);
  });

  it("names a directory that cannot be read", async () => {
    const missing = openDirectory(join(tempDir(), "gone"), images);
    await assert.rejects(collect(missing.items(null)), { code: "RUN_SOURCE_UNREADABLE", message: /gone/ });
  });
});
