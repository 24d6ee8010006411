import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { createShardReader, openTar, type Shard } from "../../../src/producer/source/tar.js";
import { endMark, tarHeader, tarMember, tarOf } from "../../support/tar.js";
import { collect } from "../../support/temp-dir.js";

const selection = { include: [], exclude: [], allFiles: false };
/** A shard in memory. */
const shardOf = (bytes: Buffer, name = "/data/s.tar"): Shard & { opened: number } => ({
  name,
  archive: `file://${name}`,
  opened: 0,
  async open() {
    this.opened += 1;
    const read = async (offset: number, length: number) => bytes.subarray(offset, offset + length);
    return {
      input: { size: bytes.length, read },
      close: async () => {
        this.opened -= 1;
      },
    };
  },
});
const samples = tarOf([
  { name: "d/", type: "5" },
  { name: "d/0001.jpg", data: "jpg" },
  { name: "d/0001.json", data: "{}" },
  { name: "d/0002.left.PNG", data: "png" },
  { name: "d/._0002.jpg", data: "mac" },
  { name: "d/link.jpg", type: "2" },
  { name: "é &.jpg", data: "x" },
]);

/** Of the member of `samples` whose header is there. */
const tokenAt = (header: number, next: number) => `${header}:${crc32(samples.subarray(header, header + 512))}:${next}`;

describe("producer/source/tar", () => {
  it("gives members with image names, with WebDataset's keys as ids, and counts what it leaves", async () => {
    const source = openTar(shardOf(samples), selection, ["/data"]);
    assert.deepEqual(await collect(source.items(null)), [
      { uri: "tar+file:///data/s.tar#member=d/0001.jpg&offset=1024&length=3", id: "d/0001", token: tokenAt(512, 1536) },
      {
        uri: "tar+file:///data/s.tar#member=d/0002.left.PNG&offset=3072&length=3",
        id: "d/0002",
        token: tokenAt(2560, 3584),
      },
      {
        uri: "tar+file:///data/s.tar#member=%C3%A9%20%26.jpg&offset=5632&length=1",
        id: "é &",
        token: tokenAt(5120, 6144),
      },
    ]);
    assert.deepEqual(source.leftOut(), {
      "directory in a shard": 1,
      "link in a shard": 1,
      "no image extension": 1,
      "hidden file in a shard": 1,
    });
    assert.deepEqual(source.roots, ["/data"]);
  });

  it("goes on behind any of its tokens with exactly the rest, also behind a damage", async () => {
    const damaged = Buffer.concat([samples.subarray(0, -endMark.length), Buffer.alloc(512, "x")]);
    const source = openTar(shardOf(damaged), selection, []);
    const items = await collect(source.items(null));
    assert.equal(items.length, 4);
    for (const [i, { token }] of items.entries())
      assert.deepEqual(await collect(source.items(token)), items.slice(i + 1));
  });

  it("goes on in no other shard that lies at the same place, and in the same one if something was added behind", async () => {
    const [first, ...rest] = await collect(openTar(shardOf(samples), selection, []).items(null));
    const token = first?.token ?? "";
    const longer = Buffer.concat([samples.subarray(0, -endMark.length), tarOf([{ name: "more.jpg" }])]);
    const found = await collect(openTar(shardOf(longer), selection, []).items(token));
    assert.deepEqual(
      found.map(({ id }) => id),
      [...rest.map(({ id }) => id), "more"],
    );
    const touched = Buffer.from(samples);
    tarHeader({ name: "d/0001.jpg", data: "jpg", change: (header) => header.write("00000000001\0", 136) }).copy(
      touched,
      512,
    );
    const changed = [touched, tarOf([{ name: "x.jpg", data: Buffer.alloc(5_000, "x") }]), endMark, Buffer.alloc(0)];
    for (const bytes of changed) {
      const shard = shardOf(bytes);
      await assert.rejects(collect(openTar(shard, selection, []).items(token)), {
        code: "RUN_SOURCE_CHANGED",
        message: /the member at byte 512 of \/data\/s\.tar is not what it was/,
      });
      assert.equal(shard.opened, 0);
    }
  });

  it("gives the whole members of a shard that is cut off, then an item that fails and names the byte", async () => {
    const cut = Buffer.concat([tarMember({ name: "a.jpg", data: "a" }), tarHeader({ name: "b.jpg", data: "bbb" })]);
    const items = await collect(openTar(shardOf(cut), selection, []).items(null));
    assert.deepEqual(items[1], {
      uri: "/data/s.tar#byte=1024",
      failure: {
        code: "ITEM_INVALID",
        message: 'Not a usable item: /data/s.tar, byte 1024: it is cut off in the middle of "b.jpg", which has 3 bytes',
      },
      token: "end",
    });
  });

  it("fails a sparse file by itself, and leaves one that it would leave anyway", async () => {
    const sparse = (name: string) => tarHeader({ name, type: "S" });
    const archive = Buffer.concat([sparse("a.jpg"), sparse("a.txt"), tarOf([{ name: "b.jpg" }])]);
    const [first, second, ...rest] = await collect(openTar(shardOf(archive), selection, []).items(null));
    assert.equal(first?.id, "a");
    assert.match(first?.failure?.message ?? "", /s\.tar, byte 0: "a\.jpg": it is a sparse file/);
    assert.deepEqual([second?.id, rest.length], ["b", 0]);
  });

  it("takes other members where they are asked for, by their names in the shard", async () => {
    const named = async (flags: object) => {
      const { items } = createShardReader({ ...selection, ...flags });
      return (await collect(items(shardOf(samples), null))).map(({ id }) => id);
    };
    assert.deepEqual(await named({ allFiles: true }), ["d/0001", "d/0001", "d/0002", "é &"]);
    assert.deepEqual(await named({ include: ["d/*.json"] }), ["d/0001"]);
    assert.deepEqual(await named({ exclude: ["d/**"] }), ["é &"]);
  });

  it("gives ids that are text where names are not UTF-8", async () => {
    const archive = tarOf([{ name: Buffer.from([0x61, 0xff, 0x2e, 0x6a, 0x70, 0x67]) }]);
    const [item] = await collect(openTar(shardOf(archive), selection, []).items(null));
    assert.deepEqual([item?.id, item?.uri.includes("#member=a%FF.jpg&")], ["a%FF", true]);
  });

  it("refuses packed archives under a shard's name, with what to do", async () => {
    for (const [start, word] of [
      [[0x1f, 0x8b, 8], /gzip data.*gunzip/],
      [[0x28, 0xb5, 0x2f, 0xfd], /Zstandard/],
      [[0x42, 0x5a, 0x68], /bzip2/],
      [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], /xz/],
    ] as const) {
      const items = openTar(shardOf(Buffer.concat([Buffer.from(start), samples])), selection, []).items(null);
      await assert.rejects(collect(items), { code: "RUN_SOURCE_CONTENT", message: word });
    }
  });

  it("lets go of a shard, whether it was read to its end, left or broke, and says which one could not be read", async () => {
    const shard = shardOf(samples);
    for await (const _ of openTar(shard, selection, []).items(null)) break;
    await collect(openTar(shard, selection, []).items(null));
    assert.equal(shard.opened, 0);
    const broken: Shard = { ...shardOf(samples), open: async () => assert.fail("EIO: it broke") };
    await assert.rejects(collect(openTar(broken, selection, []).items(null)), {
      code: "RUN_SOURCE_UNREADABLE",
      message: /\/data\/s\.tar: EIO: it broke/,
    });
  });
});
