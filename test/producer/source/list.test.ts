import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { openList } from "../../../src/producer/source/list.js";
import { openFileText } from "../../../src/producer/source/text.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

describe("producer/source/list", () => {
  const tempDir = useTempDir();
  const listOf = async (content: string | Buffer) => {
    const path = join(tempDir(), "list.txt");
    await writeFile(path, content);
    return openList(openFileText(path, "none", tempDir()));
  };
  const itemsOf = async (content: string | Buffer) => collect((await listOf(content)).items(null));

  it("resolves relative paths against the list's directory, and normalises", async () => {
    const items = await itemsOf("a.jpg\n./x/../b.jpg\n/c//d.jpg\nfile:///e%20f.jpg\nhttps://h/i.jpg\n");
    const dir = tempDir();
    assert.deepEqual(
      items.map(({ uri, line }) => [line, uri]),
      [
        [1, `${dir}/a.jpg`],
        [2, `${dir}/b.jpg`],
        [3, "/c/d.jpg"],
        [4, "/e f.jpg"],
        [5, "https://h/i.jpg"],
      ],
    );
  });

  it("takes CRLF, a missing last line end, and leaves blank lines with the line numbers kept", async () => {
    const source = await listOf("/a\r\n\r\n  \n/b");
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri, line }) => [line, uri]),
      [
        [1, "/a"],
        [4, "/b"],
      ],
    );
    assert.deepEqual(source.leftOut(), { "blank line": 2 });
  });

  it("pins a line that cannot be an item as one that fails, with its number", async () => {
    const items = await itemsOf(`/ok\n/a\0b\n/${"x".repeat(70_000)}\nfile:relative\n/end`);
    assert.deepEqual(
      items.map(({ failure }) => failure?.code ?? "ok"),
      ["ok", "ITEM_INVALID", "ITEM_INVALID", "ITEM_INVALID", "ok"],
    );
    assert.match(items[2]?.failure?.message ?? "", /line 3: it is longer than 65536 bytes/);
    assert.equal(items[2]?.uri, `${tempDir()}/list.txt#line=3`);
  });

  it("takes a uri between white space, and pins none behind other characters as a path", async () => {
    const lines = [
      " https://h/a",
      "\t\uFEFFs3://b/k ",
      '"https://u:hunter2@h/x"',
      "<https://h/?sig=hunter2>",
      "//u:hunter2@h/x",
    ];
    const items = await itemsOf(lines.join("\n"));
    assert.deepEqual(
      items.map(({ uri, failure }) => [failure?.code, uri]),
      [
        [undefined, "https://h/a"],
        [undefined, "s3://b/k"],
        ["ITEM_INVALID", '"https://***@h/x"'],
        ["ITEM_INVALID", "<https://h/?sig=***"],
        ["ITEM_INVALID", "//***@h/x"],
      ],
    );
    assert.match(items[2]?.failure?.message ?? "", /line 3: it holds a uri behind other characters/);
  });

  it("shows nothing of a password that is longer than what is shown of a line", async () => {
    for (const length of [1_100, 70_000]) {
      const [item] = await itemsOf(`\0https://user:${"hunter2".repeat(length / 7)}@h/x\n`);
      assert.equal(item?.failure?.code, "ITEM_INVALID");
      assert.ok(!JSON.stringify(item).includes("hunter2"));
    }
  });

  it("takes the first line without the byte order mark that some editors write", async () => {
    const [item] = await itemsOf("\uFEFF/a.jpg\n");
    assert.equal(item?.uri, "/a.jpg");
  });

  it("keeps paths that are not UTF-8", async () => {
    const [item] = await itemsOf(Buffer.from([0x2f, 0xff, 0x0a]));
    assert.equal(item?.uri, "file:///%FF");
  });

  it("goes on after any item as if it had not been interrupted", async () => {
    const line = fc.oneof(
      fc.constantFrom("", " ", "/a", "b c", "é"),
      fc.string({ maxLength: 30 }).map((s) => s.replaceAll("\n", "")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.constantFrom("\n", "\r\n"), async (lines, end) => {
        const source = await listOf(lines.join(end));
        const items = await collect(source.items(null));
        for (const [i, { token }] of items.entries())
          assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
      }),
      { numRuns: 30 },
    );
  });

  it("does not go on in a list that is not what it was, and does in one that has only grown", async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `/i/${i}.jpg`);
    const items = await itemsOf(lines.join("\n"));
    const [middle, last] = [items[19]?.token ?? "", items[39]?.token ?? ""];
    const goOn = async (content: string, token: string) => collect((await listOf(content)).items(token));
    const changed = ["", "/one.jpg\n", lines.join("\n").replaceAll("/i/", "/images/"), lines.toReversed().join("\n")];
    for (const content of changed)
      await assert.rejects(goOn(content, middle), {
        code: "RUN_SOURCE_CHANGED",
        message: /line 20 of .*list\.txt is not/,
      });
    await assert.rejects(goOn(`${lines.join("\n")}2.jpg\n`, last), { code: "RUN_SOURCE_CHANGED" });
    for (const end of ["\n", "\r\n"])
      assert.deepEqual(
        (await goOn(`${lines.join("\n")}${end}/more.jpg`, last)).map(({ uri }) => uri),
        ["/more.jpg"],
      );
  });

  it("does not go on in a packed list that is shorter than it was", async () => {
    const path = join(tempDir(), "list.txt.gz");
    const list = openList(openFileText(path, "gzip", tempDir()));
    await writeFile(path, gzipSync("/1.jpg\n/2.jpg\n/3.jpg\n"));
    const [, second] = await collect(list.items(null));
    await writeFile(path, gzipSync("/x\n"));
    await assert.rejects(collect(list.items(second?.token ?? "")), { code: "RUN_SOURCE_CHANGED" });
  });

  it("holds no more of a line without an end than shows that it is too long", async () => {
    const before = process.memoryUsage().arrayBuffers;
    const items = await itemsOf(Buffer.alloc(64 * 2 ** 20, 0x61));
    assert.equal(items[0]?.failure?.code, "ITEM_INVALID");
    assert.ok(process.memoryUsage().arrayBuffers - before < 200 * 2 ** 20);
  });
});
