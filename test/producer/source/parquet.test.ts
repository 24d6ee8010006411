import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { openParquet } from "../../../src/producer/source/parquet.js";
import type { TableColumns } from "../../../src/producer/source/source.js";
import { LabelmillError } from "../../../src/shared/errors.js";
import { collect, useTempDir } from "../../support/temp-dir.js";
import { uriOnly } from "./table-samples.js";

/** Written by bench/parity/make_table_fixtures.py: 300 rows in row groups of 128. */
const fixtures = fileURLToPath(new URL("../../../../test/fixtures/tables", import.meta.url));
const fixture = (name: string) => join(fixtures, `${name}.parquet`);
const columns: TableColumns = {
  uriColumn: "uri",
  idColumn: "id",
  keepColumns: ["label", "size", "score", "flag", "seen", "price"],
};
const itemsOf = (path: string, wanted = columns) => collect(openParquet(path, wanted).items(null));

const expectedItem = (i: number) => ({
  uri: join(fixtures, `photos/${String(i).padStart(4, "0")}.jpg`),
  id: `id-${i}`,
  line: i + 1,
  extra: {
    ...(i % 7 === 0 ? {} : { label: ["cat", "dog", "é"][i % 3] }),
    size: String(2n ** 60n + BigInt(i)),
    score: String(i / 4),
    flag: String(i % 2 === 0),
    seen: `2026-01-02T03:04:${String(i % 60).padStart(2, "0")}.000Z`,
    price: String(i * 10 ** -2),
  },
  token: `${i + 1},300`,
});

describe("producer/source/parquet", () => {
  const tempDir = useTempDir();
  const written = async (bytes: Uint8Array) => {
    const path = join(tempDir(), "t.parquet");
    await writeFile(path, bytes);
    return path;
  };

  it("gives each row as the writer had it, in every compression, encoding and page version", async () => {
    const names = (await readdir(fixtures)).filter((name) => /^(?!empty|delta\.).*\.parquet$/.test(name));
    assert.ok(names.length >= 10);
    const expected = Array.from({ length: 300 }, (_, i) => expectedItem(i));
    for (const name of names) assert.deepEqual(await itemsOf(join(fixtures, name)), expected, name);
  });

  it("goes on after any row, with exactly the rest", async () => {
    for (const name of ["snappy", "v2-zstd-plain", "one-page"]) {
      const source = openParquet(fixture(name), columns);
      const items = await collect(source.items(null));
      for (const i of [0, 1, 15, 16, 126, 127, 128, 200, 255, 256, 298, 299])
        assert.deepEqual(await collect(source.items(items[i]?.token ?? "")), items.slice(i + 1), `${name} ${i}`);
    }
  });

  it("does not go on in a file with another number of rows", async () => {
    const [, second] = await itemsOf(fixture("snappy"));
    const path = await written(await readFile(fixture("empty")));
    const going = collect(openParquet(path, columns).items(second?.token ?? ""));
    await assert.rejects(going, { code: "RUN_SOURCE_CHANGED", message: /t\.parquet has 0 rows, and had 300/ });
  });

  it("fails a row whose cell is not text, with its number", async () => {
    const items = await itemsOf(fixture("snappy"), { ...uriOnly, idColumn: "blob" });
    assert.equal(items[0]?.failure, undefined);
    assert.match(items[1]?.failure?.message ?? "", /row 2: it is not UTF-8 text/);
    assert.equal(items.length, 300);
  });

  it("gives nothing of a table without rows", async () => {
    assert.deepEqual(await itemsOf(fixture("empty")), []);
  });

  it("says which columns are there where one is missing, or has no single value", async () => {
    const wanted = (uriColumn: string) => itemsOf(fixture("snappy"), { ...uriOnly, uriColumn });
    const code = "RUN_SOURCE_COLUMNS";
    await assert.rejects(wanted("url"), { code, exitCode: 2, message: /no "url" .* which are "uri", "id", "label"/ });
    await assert.rejects(wanted("tags"), { code, message: /no "tags"/ });
  });

  it("names what is wrong with a file that is not Parquet, is cut off, or is not there", async () => {
    const whole = await readFile(fixture("snappy"));
    const code = "RUN_SOURCE_UNREADABLE";
    await assert.rejects(itemsOf(await written(Buffer.from("uri\n/a.jpg\n/b.jpg\n"))), {
      code,
      message: /not a Parquet/,
    });
    await assert.rejects(itemsOf(await written(Buffer.alloc(0))), { code, message: /not a Parquet file/ });
    await assert.rejects(itemsOf(await written(whole.subarray(0, 9_000))), { code, message: /is cut off/ });
    await assert.rejects(itemsOf(join(tempDir(), "gone.parquet")), { code, message: /gone\.parquet/ });
    const longFooter = Buffer.from(whole);
    longFooter.writeUInt32LE(0xffff_fff0, longFooter.length - 8);
    await assert.rejects(itemsOf(await written(longFooter)), { code, message: /footer says that it has 4294967280/ });
    await assert.rejects(itemsOf(fixture("delta")), { code, message: /row group 0: its encoding DELTA_BYTE_ARRAY/ });
  });

  it("gives rows or an error of ours for files that are damaged anywhere", async () => {
    const originals = await Promise.all(
      ["snappy", "v2-zstd-plain", "gzip", "one-page", "none"].map((n) => readFile(fixture(n))),
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...originals), damage, async (original, bytes) => {
        const damaged = Buffer.from(original);
        for (const [at, value] of bytes) damaged[at % damaged.length] = value;
        const path = await written(damaged);
        let rows = 0;
        try {
          for await (const _ of openParquet(path, columns).items(null)) {
            rows += 1;
            if (rows > 10_000) break;
          }
        } catch (error) {
          assert.ok(error instanceof LabelmillError, String(error));
        }
      }),
      { numRuns: 400 },
    );
  });
});
