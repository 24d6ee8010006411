import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { openFileText, openRemoteText, openStreamText, type Packing } from "../../../src/producer/source/text.js";
import { collect, useTempDir } from "../../support/temp-dir.js";

/** Written by bench/parity/make_table_fixtures.py: two Zstandard frames and a skippable one between them. */
const fixtures = fileURLToPath(new URL("../../../../test/fixtures/tables", import.meta.url));
const packedLines = Array.from({ length: 20_000 }, (_, i) => `/photos/${String(i).padStart(6, "0")}.jpg\n`).join("");

describe("producer/source/text", () => {
  const tempDir = useTempDir();
  const read = async (path: string, packing: Packing, offset = 0) =>
    Buffer.concat(await collect(openFileText(path, packing, "/").blocks(offset)));
  const readBytes = async (bytes: Uint8Array | string, packing: Packing, offset = 0) => {
    const path = join(tempDir(), "f");
    await writeFile(path, bytes);
    return read(path, packing, offset);
  };
  const code = "RUN_SOURCE_UNREADABLE";

  it("gives the bytes from an offset on, whatever the packing", async () => {
    const zst = join(fixtures, "list.txt.zst");
    for (const offset of [0, 1, 131_072, 199_999, 200_000, packedLines.length - 1, packedLines.length]) {
      const rest = packedLines.slice(offset);
      assert.equal((await readBytes(packedLines, "none", offset)).toString(), rest);
      assert.equal((await readBytes(gzipSync(packedLines), "gzip", offset)).toString(), rest);
      assert.equal((await read(zst, "zstd", offset)).toString(), rest);
    }
  });

  it("lets go of what it reads where it is left, whatever the packing", async () => {
    let open = 0;
    const zst = await readFile(join(fixtures, "list.txt.zst"));
    for (const [bytes, packing] of [
      [Buffer.from(packedLines), "none"],
      [gzipSync(packedLines), "gzip"],
      [zst, "zstd"],
    ] as const) {
      const blocks = async function* () {
        open += 1;
        try {
          for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
        } finally {
          open -= 1;
        }
      };
      const text = openRemoteText("https://h/l", packing, { read: async () => ({ size: null, blocks: blocks() }) });
      for await (const _ of text.blocks(0)) break;
      assert.equal(open, 0, packing);
    }
  });

  it("reads a gzip file of several members", async () => {
    const bytes = Buffer.concat([gzipSync("/a\n"), gzipSync("/b\n")]);
    assert.equal((await readBytes(bytes, "gzip")).toString(), "/a\n/b\n");
  });

  it("refuses packed data that is cut off at any place, or is none", async () => {
    const gz = gzipSync(packedLines.slice(0, 5_000));
    for (const length of [0, 1, 9, 10, 50, gz.length - 9, gz.length - 1]) {
      await assert.rejects(readBytes(gz.subarray(0, length), "gzip"), { code, message: /unexpected end of file/ });
    }
    const zst = await readFile(join(fixtures, "list.txt.zst"));
    for (const length of [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 500, zst.length - 1]) {
      await assert.rejects(
        readBytes(zst.subarray(0, length), "zstd"),
        { code, message: /ends too early/ },
        String(length),
      );
    }
    await assert.rejects(readBytes("/a.jpg\n/b.jpg\n", "gzip"), { code, message: /incorrect header/ });
    await assert.rejects(readBytes("/a.jpg\n/b.jpg\n", "zstd"), { code, message: /not Zstandard/ });
  });

  it("ends with an error of ours for Zstandard that is damaged anywhere", async () => {
    const zst = await readFile(join(fixtures, "list.txt.zst"));
    for (let at = 0; at < zst.length; at += 97) {
      const damaged = Buffer.from(zst);
      damaged[at] = (damaged[at] ?? 0) ^ 0x5a;
      await readBytes(damaged, "zstd").catch((error: unknown) => assert.equal((error as { code: string }).code, code));
    }
  });

  it("refuses a window of Zstandard that is larger than can be held, before it is made", async () => {
    await assert.rejects(read(join(fixtures, "wide-window.txt.zst"), "zstd"), { code, message: /window is 134217728/ });
    const huge = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0xff, 0, 0, 0, 1, 0, 0]);
    await assert.rejects(readBytes(huge, "zstd"), { code, message: /window is \d{13}/ });
  });

  it("gives a bomb piece by piece", async () => {
    // Frame of a 1 MiB window, and 2,000 blocks that each repeat one byte 131,072 times: 262 MB of 8 kB.
    const block = Buffer.from([0x02, 0x00, 0x10, 0x61]);
    const last = Buffer.from([0x03, 0x00, 0x10, 0x61]);
    const blocks = [...Array.from({ length: 1_999 }, () => block), last];
    const path = join(tempDir(), "bomb");
    await writeFile(path, Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50]), ...blocks]));
    let bytes = 0;
    let largest = 0;
    for await (const piece of openFileText(path, "zstd", "/").blocks(0)) {
      bytes += piece.length;
      largest = Math.max(largest, piece.length);
    }
    assert.deepEqual({ bytes, largest }, { bytes: 2_000 * 131_072, largest: 131_072 });
  });

  it("says what a file really is where it is no text", async () => {
    const content = { code: "RUN_SOURCE_CONTENT", exitCode: 2 };
    await assert.rejects(readBytes(gzipSync("/a"), "none"), {
      ...content,
      message: /gzip data; let its name end in \.gz/,
    });
    await assert.rejects(readBytes(await readFile(join(fixtures, "none.parquet")), "none"), {
      ...content,
      message: /Parquet/,
    });
    await assert.rejects(readBytes(Buffer.from("\uFEFF/a\n", "utf16le"), "none"), { ...content, message: /UTF-16/ });
    await assert.rejects(readBytes(gzipSync(gzipSync("/a")), "gzip"), { ...content, message: /gzip data/ });
    assert.equal((await readBytes("PAR1.jpg\n", "none")).toString(), "PAR1.jpg\n");
  });

  it("looks at the start of a stream that comes byte by byte", async () => {
    const inBytes = async function* (bytes: Buffer) {
      for (const byte of bytes) yield Buffer.from([byte]);
    };
    const collected = async (bytes: Buffer) =>
      Buffer.concat(await collect(openStreamText("stdin", inBytes(bytes), "/").blocks(0)));
    for (const foreign of [gzipSync("/a"), Buffer.from("PK\x03\x04"), Buffer.from([0xff, 0xfe])])
      await assert.rejects(collected(foreign), { code: "RUN_SOURCE_CONTENT" });
    for (const text of ["", "/", "/a\n", "/a.jpg\n/b.jpg\n"])
      assert.equal((await collected(Buffer.from(text))).toString(), text);
  });

  it("names a file that is not there", async () => {
    for (const packing of ["none", "gzip", "zstd"] as const)
      await assert.rejects(read(join(tempDir(), "gone"), packing), { code, message: /gone/ });
  });
});
