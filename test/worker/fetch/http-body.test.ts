import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { contentDecoderOf, readBody, TooLarge } from "../../../src/worker/fetch/http-body.js";

async function* inBlocks(bytes: Uint8Array, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

const admitLarge = () => assert.fail("not large");
const unlimited = { limit: Number.POSITIVE_INFINITY, onProgress: () => {}, admitLarge };

describe("worker/fetch/http-body", () => {
  const encoders = {
    identity: (bytes: Uint8Array) => bytes,
    gzip: gzipSync,
    deflate: deflateSync,
    br: brotliCompressSync,
  };

  it("gives the same bytes in whatever encoding and blocks they come", async () => {
    const encoding = fc.constantFrom(...(Object.keys(encoders) as (keyof typeof encoders)[]));
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        encoding,
        fc.integer({ min: 1, max: 50 }),
        async (bytes, name, size) => {
          const decoder = contentDecoderOf(name.toUpperCase());
          assert.ok(decoder !== undefined);
          const read = await readBody(inBlocks(encoders[name](bytes), size), decoder, unlimited);
          assert.deepEqual(Buffer.from(read), Buffer.from(bytes));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("stops at the limit, of what comes and of what it becomes, and takes no more", async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        taken += 1;
        yield Buffer.alloc(1_000);
      }
    }
    await assert.rejects(readBody(endless(), null, { ...unlimited, limit: 5_000 }), TooLarge);
    assert.equal(taken, 6);
    const bomb = gzipSync(Buffer.alloc(2 ** 26));
    let came = 0;
    const onProgress = (bytes: number) => {
      came = bytes;
    };
    const unpacked = readBody(inBlocks(bomb, 1_000), contentDecoderOf("gzip") ?? null, {
      ...unlimited,
      limit: 100_000,
      onProgress,
    });
    await assert.rejects(unpacked, (error) => error instanceof TooLarge && error.bytes < 200_000);
    assert.ok(came < bomb.length / 2, `read ${came} of ${bomb.length} bytes`);
  });

  it("asks once before it goes on with a large body, by what comes and by what it becomes", async () => {
    const large = Buffer.alloc(9 * 2 ** 20);
    for (const encoding of ["identity", "gzip"] as const) {
      let asked = 0;
      let came = 0;
      const admit = async () => {
        asked += 1;
        const before = came;
        await sleep(10);
        assert.ok(encoding === "gzip" || came === before, "nothing comes meanwhile");
      };
      const onProgress = (bytes: number) => {
        came = bytes;
      };
      const body = inBlocks(encoders[encoding](large), 2 ** 20);
      const reading = { ...unlimited, onProgress, admitLarge: admit };
      assert.equal((await readBody(body, contentDecoderOf(encoding) ?? null, reading)).length, large.length);
      assert.equal(asked, 1);
    }
    const refuse = () => Promise.reject(new Error("no room"));
    await assert.rejects(readBody(inBlocks(large, 2 ** 20), null, { ...unlimited, admitLarge: refuse }), /no room/);
  });

  it("says that compressed bytes end too early, or are none", async () => {
    const gunzip = contentDecoderOf("x-gzip") ?? null;
    const packed = gzipSync(Buffer.from("x".repeat(1_000)));
    await assert.rejects(readBody(inBlocks(packed.subarray(0, -9), 7), gunzip, unlimited), { code: "Z_BUF_ERROR" });
    await assert.rejects(readBody(inBlocks(Buffer.from("not gzip"), 7), gunzip, unlimited), { code: "Z_DATA_ERROR" });
  });

  it("knows no other encoding, and no two at once", () => {
    for (const name of ["zstd", "compress", "gzip, gzip", "constructor"])
      assert.equal(contentDecoderOf(name), undefined);
  });
});
