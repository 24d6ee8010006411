import assert from "node:assert/strict";
import { pack } from "tar-stream";
import { readTarEntries, type TarEntry } from "../../../src/producer/source/tar-entries.js";
import { endMark, type MadeMember, paxRecord, tarHeader, tarMember, tarOf } from "../../support/tar.js";
import { collect } from "../../support/temp-dir.js";

/** Entries of an archive in memory; its input refuses to go back, as a stream would. */
async function entriesOf(bytes: Buffer, start = 0): Promise<TarEntry[]> {
  let behind = start;
  const read = async (offset: number, length: number) => {
    assert.ok(offset >= behind, `${offset} lies before ${behind}`);
    const found = bytes.subarray(offset, offset + length);
    behind = offset + found.length;
    return found;
  };
  return collect(readTarEntries({ size: bytes.length, read }, start));
}
const filesOf = (entries: readonly TarEntry[]) =>
  entries.flatMap((each) => (each.kind === "file" ? [[each.name.toString(), each.offset, each.length]] : []));
const damageOf = async (...parts: Buffer[]) => {
  const entries = await entriesOf(Buffer.concat(parts));
  const last = entries.at(-1);
  if (last?.kind !== "damage") assert.fail(`expected a damage, got ${JSON.stringify(last)}`);
  return { before: entries.length - 1, byte: last.byte, problem: last.problem };
};
const long = `${"d/".repeat(90)}${"n".repeat(150)}.jpg`;
const extended = (type: string, data: string, member: MadeMember) => [
  tarMember({ name: "./@Long", type, data }),
  tarMember(member),
];

describe("producer/source/tar-entries", () => {
  it("gives where each file's bytes lie", async () => {
    const archive = tarOf([
      { name: "a.jpg", data: "aaa" },
      { name: "b.jpg" },
      { name: "c.jpg", data: Buffer.alloc(512, 1) },
    ]);
    const entries = await entriesOf(archive);
    assert.deepEqual(filesOf(entries), [
      ["a.jpg", 512, 3],
      ["b.jpg", 1536, 0],
      ["c.jpg", 2048, 512],
    ]);
    for (const [i, entry] of entries.entries())
      assert.deepEqual(await entriesOf(archive, "place" in entry ? entry.place.next : 0), entries.slice(i + 1));
  });

  it("reads what tar-stream writes, with long names in pax records", async () => {
    const archive = pack();
    const wanted = ["a.jpg", long, "日本.jpg", "é".repeat(90)];
    for (const name of wanted) archive.entry({ name }, Buffer.alloc(700, 7));
    archive.finalize();
    const bytes = Buffer.concat(await collect(archive as AsyncIterable<Buffer>));
    const files = filesOf(await entriesOf(bytes));
    assert.deepEqual(
      files.map(([name]) => name),
      wanted,
    );
    for (const [, offset, length] of files)
      assert.ok(bytes.subarray(Number(offset), Number(offset) + Number(length)).every((byte) => byte === 7));
  });

  it("takes names and sizes from GNU's and pax headers, for the next member alone", async () => {
    const archive = Buffer.concat([
      ...extended("L", `${long}\0`, { name: long.slice(0, 100), data: "1" }),
      ...extended("K", `${long}\0`, { name: "link", type: "2" }),
      ...extended("x", paxRecord("path", "p.jpg") + paxRecord("size", "3"), { name: "q", data: "123", size: "0" }),
      tarMember({ name: "g", type: "g", data: paxRecord("comment", "git") }),
      tarMember({ name: "last.jpg" }),
      endMark,
    ]);
    const entries = await entriesOf(archive);
    assert.deepEqual(
      filesOf(entries).map(([name, , length]) => [name, length]),
      [
        [long, 1],
        ["p.jpg", 3],
        ["last.jpg", 0],
      ],
    );
    assert.ok(entries.some((each) => each.kind === "other" && each.what === "link in a shard"));
  });

  it("passes over links, directories and special files, whatever size they claim", async () => {
    const odd = ["1", "2", "3", "4", "5", "6"].map((type) => tarMember({ name: `${type}.jpg`, type, size: "1000" }));
    const label = tarMember({ name: "label", type: "V", data: "volume" });
    const entries = await entriesOf(
      Buffer.concat([...odd, label, tarMember({ name: "d/", type: "\0" }), tarOf([{ name: "a" }])]),
    );
    assert.deepEqual(
      entries.map((each) => (each.kind === "other" ? each.what.split(" ")[0] : each.kind)),
      ["link", "link", "special", "special", "directory", "special", "special", "directory", "file"],
    );
  });

  it("refuses sparse files of each form, and goes on behind them", async () => {
    const old = tarHeader({ name: "s.jpg", type: "S", size: "1000", change: (header) => header.fill(1, 482, 483) });
    const map = Buffer.alloc(512);
    const goesOn = Buffer.alloc(512);
    goesOn[504] = 1;
    const pax = extended("x", paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.name", "t.jpg"), {
      name: "GNUSparseFile.0/t.jpg",
      data: "1\n0\n",
    });
    const archive = Buffer.concat([old, goesOn, map, Buffer.alloc(512, 1), ...pax, tarOf([{ name: "a.jpg" }])]);
    const entries = await entriesOf(archive);
    assert.deepEqual(
      entries.map((each) => [each.kind, "name" in each && each.name.toString()]),
      [
        ["refused", "s.jpg"],
        ["refused", "t.jpg"],
        ["file", "a.jpg"],
      ],
    );
  });

  it("refuses a name that no file can have, and goes on behind it", async () => {
    const name = `${"n".repeat(5_000)}.jpg`;
    const long = extended("x", paxRecord("path", name), { name: "q", data: "123" });
    const entries = await entriesOf(Buffer.concat([...long, tarOf([{ name: "a.jpg" }])]));
    assert.deepEqual(
      entries.map((entry) => [entry.kind, "problem" in entry ? entry.problem : ""]),
      [
        ["refused", "its name has 5004 bytes; 4096 are read"],
        ["file", ""],
      ],
    );
  });

  it("ends at a damage, and names its byte", async () => {
    const a = tarMember({ name: "a.jpg", data: "aaa" });
    const header = tarHeader({ name: "b.jpg", data: Buffer.alloc(600) });
    for (const [parts, byte, problem] of [
      [[], 0, /it is empty/],
      [[Buffer.from("<html>")], 0, /cut off in the middle of a header/],
      [[Buffer.alloc(512, "<html>")], 0, /checksum is wrong/],
      [[a], 1024, /no end mark .* may have been cut off/],
      [[a, header.subarray(0, 100)], 1024, /cut off in the middle of a header/],
      [[a, header, Buffer.alloc(512)], 1024, /cut off in the middle of "b.jpg", which has 600 bytes/],
      [[a, Buffer.alloc(512, 1), endMark], 1024, /checksum is wrong/],
      [[a, tarHeader({ name: "b", size: Buffer.alloc(12, 0xff) }), endMark], 1024, /size is negative/],
      [[a, tarHeader({ name: "b", size: "77777777777" }), endMark], 1024, /which has 8589934591 bytes/],
      [[a, tarMember({ name: "x", type: "x", data: "9 path=ab\n" }), a], 1024, /pax records are broken/],
      [
        [a, tarHeader({ name: "x", type: "x", size: "10000000" }), a],
        1024,
        /extension header says that it has 2097152 bytes/,
      ],
      [[a, tarHeader({ name: "x", type: "L", size: "3000" }), a], 1024, /middle of an extension header/],
      [[a, tarMember({ name: "g", type: "g", data: paxRecord("path", "b") }), a], 1024, /all members/],
      [
        [a, tarMember({ name: "x", type: "L", data: "b.jpg\0" }), endMark],
        2048,
        /announces a member, and none follows/,
      ],
      [[a, endMark, a, endMark], 2048, /more behind the end mark, perhaps another archive/],
      [[a, Buffer.alloc(512), a, endMark], 1536, /more behind the end mark/],
      [[a, endMark, Buffer.alloc(100_000), Buffer.from("!")], 102_048, /more behind the end mark/],
    ] as const) {
      const found = await damageOf(...parts);
      assert.deepEqual([found.byte, found.before], [byte, byte === 0 ? 0 : 1], String(problem));
      assert.match(found.problem, problem);
    }
  });

  it("takes a header for all members alone for an empty archive, as git writes of an empty tree", async () => {
    const comment = tarMember({ name: "pax_global_header", type: "g", data: paxRecord("comment", "a".repeat(40)) });
    assert.deepEqual(await entriesOf(Buffer.concat([comment, endMark])), []);
    const long = tarMember({ name: "x", type: "L", data: "long.jpg\0" });
    const between = await entriesOf(Buffer.concat([long, comment, tarOf([{ name: "short.jpg" }])]));
    assert.deepEqual(filesOf(between), [["long.jpg", 2560, 0]]);
  });

  it("takes one block of zeros for an end, and as many as fill a record", async () => {
    for (const zeros of [512, 1024, 10_240, 2 ** 20]) {
      const entries = await entriesOf(Buffer.concat([tarMember({ name: "a.jpg" }), Buffer.alloc(zeros)]));
      assert.deepEqual(
        entries.map(({ kind }) => kind),
        ["file"],
        String(zeros),
      );
    }
  });
});
