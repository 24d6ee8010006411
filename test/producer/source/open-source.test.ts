import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { openSources } from "../../../src/producer/source/open-source.js";
import { resolveOptions } from "../../../src/shared/options.js";
import { tarOf } from "../../support/tar.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

const options = resolveOptions({});

describe("producer/source/open-source", () => {
  const tempDir = useTempDir();

  const makeSources = async () => {
    await mkdir(join(tempDir(), "b"));
    for (const name of ["b/1.png", "b/2.jpg", "b/notes.md", "a.png"]) await writeFile(join(tempDir(), name), "");
    await writeFile(join(tempDir(), "list.TXT"), "a.png\nb/1.png\n");
    return openSources(["b", "list.TXT", join(tempDir(), "b")], options, { cwd: tempDir() });
  };

  it("gives several sources as one, in the order in which they are named", async () => {
    const { source, names } = await makeSources();
    const items = await collect(source.items(null));
    const expected = ["b/1.png", "b/2.jpg", "a.png", "b/1.png", "b/1.png", "b/2.jpg"];
    assert.deepEqual(
      items.map(({ uri }) => uri),
      expected.map((name) => join(tempDir(), name)),
    );
    assert.deepEqual(
      names,
      ["b", "list.TXT", "b"].map((name) => join(tempDir(), name)),
    );
    assert.equal(new Set(source.roots).size, source.roots.length);
    assert.deepEqual(Object.values(source.leftOut()), [2]);
  });

  it("goes on behind any of its tokens with exactly the rest", async () => {
    const { source } = await makeSources();
    const items = await collect(source.items(null));
    for (const [i, { token }] of items.entries()) {
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
    }
  });

  it("tells lists and tables by the endings of their names, packed or not, and others by --input-format", async () => {
    const files: Record<string, string | Buffer> = {
      "a.txt": "/1\n",
      "b.CSV": "uri\n/2\n",
      "c.tsv.gz": gzipSync("n\turi\n1\t/3\n"),
      "d.jsonl": '{"uri":"/4"}\n',
      "e.ndjson.GZ": gzipSync('{"uri":"/5"}\n'),
      f: "uri\n/6\n",
      "g.dat.gz": gzipSync("uri\n/7\n"),
    };
    for (const [name, content] of Object.entries(files)) await writeFile(join(tempDir(), name), content);
    const open = (flags: Record<string, unknown>) =>
      openSources(Object.keys(files), resolveOptions({ flags }), { cwd: tempDir() });
    const { source } = await open({ inputFormat: "csv" });
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri }) => uri),
      ["/1", "/2", "/3", "/4", "/5", "/6", "/7"],
    );
    await assert.rejects(open({}), { code: "RUN_SOURCE_KIND", message: /`.*f` .* got another file/ });
    await assert.rejects(openSources(["-", "-"], options, { cwd: tempDir() }), { code: "RUN_SOURCE_KIND" });
  });

  it("takes tar shards by name, by a range of names that all have to be there, and by a glob", async () => {
    await mkdir(join(tempDir(), "s-01"));
    for (const name of ["s-00.tar", "s-01.tar", "s-01/x.tar"])
      await writeFile(join(tempDir(), name), tarOf([{ name: `${name.slice(0, -4)}.jpg` }]));
    const idsOf = async (...args: string[]) => {
      const { source, names } = await openSources(args, options, { cwd: tempDir() });
      assert.deepEqual(
        names,
        args.map((arg) => join(tempDir(), arg)),
      );
      assert.ok(source.roots.includes(tempDir()), "a worker's root has to lie above the source's name");
      return (await collect(source.items(null))).map(({ id }) => id);
    };
    assert.deepEqual(await idsOf("s-00.tar", "s-{01..00}.tar"), ["s-00", "s-01", "s-00"]);
    assert.deepEqual(await idsOf("s-{01..01}/x.tar"), ["s-01/x"]);
    assert.deepEqual(await idsOf("s-{01..01}/*.tar"), ["s-01/x"]);
    assert.deepEqual(await idsOf("**/*.tar"), ["s-00", "s-01/x", "s-01"]);
    await assert.rejects(idsOf("s-{00..02}.tar"), { code: "RUN_SOURCE_MISSING", message: /s-02\.tar/ });
  });

  it("allows a shard's directory, and what a shard that is a link leads to", async () => {
    await mkdir(join(tempDir(), "blobs"));
    await writeFile(join(tempDir(), "blobs/1234"), tarOf([]));
    await symlink("blobs/1234", join(tempDir(), "s.tar"));
    const { source } = await openSources(["s.tar"], options, { cwd: tempDir() });
    assert.deepEqual(source.roots, [tempDir(), await realpath(join(tempDir(), "blobs/1234"))]);
  });

  it("refuses packed archives, with what to do", async () => {
    for (const name of ["a.tar.gz", "a.tgz", "a.tar.zst", "a.TAR.BZ2", "a.txz"]) {
      await writeFile(join(tempDir(), name), "");
      const opening = openSources([name], options, { cwd: tempDir() });
      await assert.rejects(opening, { code: "RUN_SOURCE_KIND", message: /packed tar archive.*unpack it/ });
    }
  });

  it("draws a sample of all sources together", async () => {
    await makeSources();
    const sampled = resolveOptions({ flags: { sample: 3, sampleSeed: 9 } });
    const { source } = await openSources(["b", "list.TXT", "b"], sampled, { cwd: tempDir() });
    assert.equal((await collect(source.items(null))).length, 3);
  });

  it("refuses what is not there, and what it cannot read as a source", async () => {
    await writeFile(join(tempDir(), "table.xlsx"), "");
    await promisify(execFile)("mkfifo", [join(tempDir(), "fifo.txt")]);
    const open = (name: string) => openSources([name], options, { cwd: tempDir() });
    await assert.rejects(open("gone"), { code: "RUN_SOURCE_MISSING" });
    await assert.rejects(open("table.xlsx/below"), { code: "RUN_SOURCE_MISSING" });
    await assert.rejects(open("table.xlsx"), { code: "RUN_SOURCE_KIND", message: /got another file/ });
    await assert.rejects(open("fifo.txt"), { code: "RUN_SOURCE_KIND", message: /got a special file/ });
    await assert.rejects(open("x".repeat(300)), { code: "RUN_SOURCE_UNREADABLE" });
  });
});
