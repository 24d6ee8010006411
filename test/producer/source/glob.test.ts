import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openGlob, splitGlob } from "../../../src/producer/source/glob.js";
import { openSources } from "../../../src/producer/source/open-source.js";
import type { Selection } from "../../../src/producer/source/source.js";
import { resolveOptions } from "../../../src/shared/options.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

const everything: Selection = { include: [], exclude: [], allFiles: false };

describe("producer/source/glob", () => {
  const tempDir = useTempDir();
  const write = async (...names: string[]) => {
    for (const name of names) {
      await mkdir(dirname(join(tempDir(), name)), { recursive: true });
      await writeFile(join(tempDir(), name), "x");
    }
  };
  const sourceOf = (pattern: string, selection = everything) => {
    const { root, glob } = splitGlob(pattern, tempDir());
    return openGlob(root, glob, selection);
  };
  const namesOf = async (pattern: string, selection = everything) =>
    (await collect(sourceOf(pattern, selection).items(null))).map(({ uri }) => uri.replace(`${tempDir()}/`, ""));

  it("gives what matches, whatever its extension, in the byte order of a directory", async () => {
    await write("p/b/2.jpg", "p/a.jpg", "p/b/1.jpg", "p/b/c/3.jpg", "p/n.txt", "q/4.jpg");
    assert.deepEqual(await namesOf("p/**/*.jpg"), ["p/a.jpg", "p/b/1.jpg", "p/b/2.jpg", "p/b/c/3.jpg"]);
    assert.deepEqual(await namesOf("p/*.jpg"), ["p/a.jpg"]);
    assert.deepEqual(await namesOf("p/b/?.jpg"), ["p/b/1.jpg", "p/b/2.jpg"]);
    assert.deepEqual(await namesOf("{p,q}/[a4].*"), ["p/a.jpg", "q/4.jpg"]);
    assert.deepEqual(await namesOf("*/b/**"), ["p/b/1.jpg", "p/b/2.jpg", "p/b/c/3.jpg"]);
    assert.deepEqual(await namesOf("p/{b/c,x}/*"), ["p/b/c/3.jpg"]);
    assert.deepEqual(await namesOf("p/*.txt"), ["p/n.txt"]);
  });

  it("takes brackets and odd names as shells do", async () => {
    await write("p/a.jpg", "p/b.jpg", "p/!.jpg", "p/1.jpg", "p/d/line\nfeed.jpg", "p/new\n/e.jpg");
    const letters = ["p/!.jpg", "p/1.jpg", "p/b.jpg"];
    assert.deepEqual(await namesOf("p/[!a].jpg"), letters);
    assert.deepEqual(await namesOf("p/[^a].jpg"), letters);
    assert.deepEqual(await namesOf("p/[[:alpha:]].jpg"), ["p/a.jpg", "p/b.jpg"]);
    assert.deepEqual(await namesOf("p/[ab!].jpg"), ["p/!.jpg", "p/a.jpg", "p/b.jpg"]);
    assert.deepEqual(await namesOf("[!q]/d/*"), ["p/d/line\nfeed.jpg"]);
    assert.equal((await namesOf("p/**")).length, 6);
    assert.deepEqual(await namesOf("**/e.jpg"), ["p/new\n/e.jpg"]);
    const exclude = ["d/**", "new*/**", "[!1].jpg"];
    assert.deepEqual(await namesOf("p/**", { ...everything, exclude }), ["p/1.jpg"]);
  });

  it("takes hidden files only by a pattern that spells the dot", async () => {
    await write("p/.a.jpg", "p/.d/b.jpg", "p/c.jpg");
    assert.deepEqual(await namesOf("p/**/*.jpg"), ["p/c.jpg"]);
    assert.deepEqual(await namesOf("p/.*.jpg"), ["p/.a.jpg"]);
    assert.deepEqual(await namesOf("p/.d/*"), ["p/.d/b.jpg"]);
  });

  it("does not walk where no match can lie", async () => {
    await write("p/a/1.jpg", "p/b/x/y/2.jpg", "p/b/3.jpg");
    const source = sourceOf("p/a*/*.jpg");
    assert.equal((await collect(source.items(null))).length, 1);
    assert.deepEqual(source.leftOut(), {});
    const shallow = sourceOf("p/*/*.jpg");
    assert.equal((await collect(shallow.items(null))).length, 2);
    assert.deepEqual(shallow.leftOut(), {});
  });

  it("goes on after any item", async () => {
    await write("p/b/2.jpg", "p/a.jpg", "p/b/1.jpg", "p/c.jpg");
    const source = sourceOf("p/**/*.jpg");
    const items = await collect(source.items(null));
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
  });

  it("applies exclude and include below its fixed part, and counts what it left", async () => {
    await write("p/a.jpg", "p/x/b.jpg", "p/x/c.png");
    const source = sourceOf("p/**/*.jpg", { ...everything, exclude: ["b.*"] });
    assert.equal((await collect(source.items(null))).length, 1);
    assert.deepEqual(source.leftOut(), { excluded: 1, "not matched by the glob": 1 });
    const pruned = sourceOf("p/**/*.jpg", { ...everything, exclude: ["x/**"] });
    assert.equal((await collect(pruned.items(null))).length, 1);
    assert.deepEqual(pruned.leftOut(), {});
    assert.deepEqual(await namesOf("p/**", { ...everything, include: ["*.png"] }), ["p/x/c.png"]);
  });

  it("takes parentheses literally, as shells do, unless they are behind ? * + @ or !", async () => {
    await write("p/photos (1)/a.jpg", "p/x/photos (1)/b(2).jpg", "p/x/*.png");
    assert.deepEqual(await namesOf("p/photos (1)/*.jpg"), ["p/photos (1)/a.jpg"]);
    assert.deepEqual(await namesOf("p/*/photos (1)/*(2).jpg"), []);
    assert.deepEqual(await namesOf("p/*/photos (1)/*[)].jpg"), ["p/x/photos (1)/b(2).jpg"]);
    assert.deepEqual(await namesOf("p/*/photos (1)/?(2).jpg"), []);
    assert.deepEqual(await namesOf("p/**/@(a|b(2)).jpg"), ["p/photos (1)/a.jpg", "p/x/photos (1)/b(2).jpg"]);
    assert.deepEqual(await namesOf("p/?/\\*.png"), ["p/x/*.png"]);
    assert.deepEqual(await namesOf("p/**", { ...everything, exclude: ["photos (1)/**", "*.png"] }), [
      "p/x/photos (1)/b(2).jpg",
    ]);
  });

  it("takes links to files, and does not follow links to directories", async () => {
    await write("real/a.jpg");
    await mkdir(join(tempDir(), "p"));
    await symlink(join(tempDir(), "real/a.jpg"), join(tempDir(), "p/link.jpg"));
    await symlink(join(tempDir(), "real"), join(tempDir(), "p/dir.jpg"));
    assert.deepEqual(await namesOf("p/**/*.jpg"), ["p/link.jpg"]);
  });

  it("is a literal name where one is there, also below a directory whose name looks like a pattern", async () => {
    await write("p[1]/a.jpg", "p1/b.jpg", "p[1]/c/d.jpg");
    const open = async (arg: string, cwd = tempDir()) => {
      const { source } = await openSources([arg], resolveOptions({}), { cwd });
      return (await collect(source.items(null))).map(({ uri }) => uri.replace(`${tempDir()}/`, ""));
    };
    assert.deepEqual(await open("p[1]"), ["p[1]/a.jpg", "p[1]/c/d.jpg"]);
    assert.deepEqual(await open("c/*.jpg", join(tempDir(), "p[1]")), ["p[1]/c/d.jpg"]);
    assert.deepEqual(await open("p\\[1\\]/*.jpg"), ["p[1]/a.jpg"]);
    assert.deepEqual(await open("p[0-9]/*.jpg"), ["p1/b.jpg"]);
    await assert.rejects(open("gone/*.jpg"), { code: "RUN_SOURCE_MISSING" });
  });
});
