import assert from "node:assert/strict";
import { isPlainFile, paddedBytes, readTarHeader, type TarHeader } from "../../src/shared/tar-header.js";
import { type MadeMember, tarHeader } from "../support/tar.js";

const read = (member: MadeMember): TarHeader => {
  const header = readTarHeader(tarHeader(member));
  if ("problem" in header) assert.fail(header.problem);
  return header;
};
const problemOf = (block: Buffer): string => {
  const header = readTarHeader(block);
  return "problem" in header ? header.problem : assert.fail("expected a problem");
};

describe("shared/tar-header", () => {
  it("reads names as bytes, up to all 100 of the field, and behind POSIX's prefix only", () => {
    assert.equal(read({ name: "a/b.jpg" }).name.toString(), "a/b.jpg");
    assert.equal(read({ name: "x".repeat(100) }).name.length, 100);
    assert.deepEqual(read({ name: Buffer.from([0xff, 0x2e]) }).name, Buffer.from([0xff, 0x2e]));
    assert.equal(read({ name: "b.jpg", prefix: "a" }).name.toString(), "a/b.jpg");
    assert.equal(read({ name: "b.jpg", prefix: "a", magic: "ustar  \0" }).name.toString(), "b.jpg");
  });

  it("reads sizes in octal, padded in each way, and in base 256", () => {
    for (const [field, size] of [
      ["00000000017\0", 15],
      ["         17 ", 15],
      ["17\0junk", 15],
      ["777777777777", 0o777777777777],
      ["", 0],
      [Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), 258],
      [Buffer.from([0x80, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Number.MAX_SAFE_INTEGER],
    ] as const)
      assert.equal(read({ name: "a", size: field }).size, size, String(field));
  });

  it("refuses sizes that are negative, too large, or no number", () => {
    const tooLarge = Buffer.from([0x80, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    for (const size of [
      Buffer.alloc(12, 0xff),
      tooLarge,
      Buffer.from([0xbf, ...Buffer.alloc(11, 0xff)]),
      "-1",
      "12x",
      "9",
    ])
      assert.match(
        problemOf(tarHeader({ name: "a", size })),
        /size is negative, too large, or no number/,
        String(size),
      );
  });

  it("refuses a wrong checksum, and takes one of signed bytes", () => {
    const header = tarHeader({ name: Buffer.from([0xff, 0x61]) });
    const sum = header.reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 0x20 : (byte << 24) >> 24), 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    assert.ok("name" in readTarHeader(header));
    header[0] = 0xfe;
    assert.match(problemOf(header), /checksum is wrong/);
    assert.match(problemOf(Buffer.alloc(512, "x")), /checksum is wrong/);
  });

  it("tells files whose data are their bytes from all else", () => {
    const plain = (name: string, type: string) => isPlainFile(read({ name, type }));
    assert.deepEqual(
      ["0", "7", "\0"].map((type) => plain("a", type)),
      [true, true, true],
    );
    assert.deepEqual(
      ["1", "2", "5", "S", "x", "L"].map((type) => plain("a", type)),
      Array(6).fill(false),
    );
    assert.equal(plain("a/", "\0"), false);
  });

  it("counts whole blocks", () => {
    assert.deepEqual([0, 1, 512, 513].map(paddedBytes), [0, 512, 512, 1024]);
  });
});
