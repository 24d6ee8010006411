import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { openSources } from "../../../src/producer/source/open-source.js";
import type { RemoteFiles } from "../../../src/producer/source/source.js";
import { resolveOptions } from "../../../src/shared/options.js";
import { tarOf } from "../../support/tar.js";
import { collect } from "../../support/temp-dir.js";

const shard = tarOf(["a", "b", "c"].map((key) => ({ name: `${key}.jpg`, data: Buffer.alloc(5_000, key) })));
const files: Readonly<Record<string, Buffer>> = {
  "https://h/list.txt": Buffer.from(
    "a.jpg\n/b.jpg\nhttps://o/c.jpg\n\n../d e.jpg\nfile:///etc/passwd\ntar+file:///x\n//o/e.jpg",
  ),
  "https://h/foreign.txt": Buffer.from(
    "fi\tle:/etc/passwd\ns3://b/k\nTAR+s3://b/s.tar#member=a&offset=512&length=1\n'https://u:hunter2@o/x'\n//u:hunter2@o/x",
  ),
  "https://h/t.csv.gz?v=2": gzipSync("uri,n\nx/1.jpg,1\n,2\n"),
  "https://h/s.tar": shard,
  "https://h/s-07.tar": shard,
};

describe("producer/source/web", () => {
  let open = 0;
  const asked: string[] = [];
  const remote: RemoteFiles = {
    async read(uri, { offset, needsRanges }) {
      asked.push(`${uri} ${offset} ${needsRanges}`);
      const bytes = files[uri] ?? assert.fail(uri);
      const blocks = async function* () {
        open += 1;
        try {
          for (let at = offset; at < bytes.length; at += 700)
            yield bytes.subarray(at, Math.min(at + 700, bytes.length));
        } finally {
          open -= 1;
        }
      };
      return { size: bytes.length, blocks: blocks() };
    },
  };
  const openAll = (args: readonly string[], flags: Record<string, unknown> = {}) =>
    openSources(args, resolveOptions({ flags }), { cwd: "/cwd", remote });
  const urisOf = async (...args: string[]) => {
    const { source } = await openAll(args);
    return (await collect(source.items(null))).map(({ uri, failure }) => failure?.code ?? uri);
  };

  it("takes an address as one item, in its canonical form, and asks nobody for it", async () => {
    const { source, names } = await openAll(["HTTPS://H:443/a b.jpg#x", "http://h/", "https://h/list.txt.jpg"]);
    const uris = ["https://h/a%20b.jpg", "http://h/", "https://h/list.txt.jpg"];
    const items = await collect(source.items(null));
    assert.deepEqual(
      items.map(({ uri }) => uri),
      uris,
    );
    assert.deepEqual([names, source.roots, asked], [uris, [], []]);
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
  });

  it("reads lists and tables, whose entries are addresses too and open no local file, and no object of a bucket", async () => {
    assert.deepEqual(await urisOf("https://h/list.txt"), [
      "https://h/a.jpg",
      "https://h/b.jpg",
      "https://o/c.jpg",
      "https://h/d%20e.jpg",
      "ITEM_INVALID",
      "ITEM_INVALID",
      "https://o/e.jpg",
    ]);
    assert.deepEqual(await urisOf("https://h/t.csv.gz?v=2"), ["https://h/x/1.jpg", "ITEM_INVALID"]);
    assert.deepEqual((await openAll(["https://h/list.txt"])).source.roots, []);
    const foreign = await collect((await openAll(["https://h/foreign.txt"])).source.items(null));
    assert.deepEqual(
      foreign.map(({ failure }) => failure?.code),
      Array(5).fill("ITEM_INVALID"),
    );
    assert.ok(!JSON.stringify(foreign).includes("hunter2"));
    assert.equal(open, 0);
  });

  it("lists a shard, whose members are named by it, and goes on in the middle with a range", async () => {
    const { source } = await openAll(["https://h/s.tar", "https://h/s-{07..07}.tar"]);
    const items = await collect(source.items(null));
    assert.equal(items[0]?.uri, "tar+https://h/s.tar#member=a.jpg&offset=512&length=5000");
    assert.deepEqual(
      items.map(({ id }) => id),
      ["a", "b", "c", "a", "b", "c"],
    );
    asked.length = 0;
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
    assert.equal(asked[0], "https://h/s.tar 0 true");
    for await (const _ of source.items(null)) break;
    assert.equal(open, 0);
  });

  it("refuses what cannot be a source, with what to do, and shows no credentials", async () => {
    for (const [arg, message] of [
      ["https://h/s.tar.gz", /packed tar archive.*unpack it/],
      ["https://h/t.parquet", /Parquet file on a web server; download it/],
      ["https://u:hunter2@h/a.jpg", /user name or password/],
      ["https://h/s.tar?sig=hunter2", /parameter sig is a credential; give credentials with --header/],
      ["http://0x7f.1/a.jpg", /four decimal numbers/],
    ] as const) {
      const error = await openAll([arg]).then(
        () => assert.fail(arg),
        (thrown: Error & { code: string }) => thrown,
      );
      assert.deepEqual([error.code, error.message.includes("hunter2")], ["RUN_SOURCE_KIND", false], arg);
      assert.match(error.message, message);
    }
    await assert.rejects(openSources(["https://h/list.txt"], resolveOptions({}), { cwd: "/" }), {
      code: "RUN_SOURCE_KIND",
      message: /this command does not read; download it/,
    });
  });
});
