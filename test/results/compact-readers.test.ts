import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { listCurrentRows } from "../../src/dataset/current-rows.js";
import type { PartFormat } from "../../src/dataset/layout.js";
import type { Row } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import type { Storage } from "../../src/dataset/storage/storage.js";
import { compactResults } from "../../src/results/compact.js";
import { openResults } from "../../src/results/open.js";
import { queryOf, searchNearest } from "../../src/results/search.js";
import { collect, useTempDir } from "../support/temp-dir.js";
import { writeComplete, writeRetry } from "./samples.js";

const items = 46;
const chunks = 12;

for (const format of ["parquet", "jsonl"] as const satisfies readonly PartFormat[]) {
  describe(`results/compact, as readers see it (${format})`, function () {
    this.timeout(60_000);
    const tempDir = useTempDir();
    const out = () => join(tempDir(), "out");
    const rowsOf = async () => collect((await openResults(out())).rows<keyof Row>());
    const target = { targetBytes: format === "jsonl" ? 6_000 : 30_000 };
    const compact = () => compactResults(out(), target);

    it("takes nothing from a reader that began before", async () => {
      await writeComplete(openStorage(out()), items, { format });
      const rows = await rowsOf();
      const reading = (await openResults(out())).rows<keyof Row>()[Symbol.asyncIterator]();
      const read: Row[] = [];
      while (read.length < 9) read.push((await reading.next()).value);
      await compact();
      for (let next = await reading.next(); next.done !== true; next = await reading.next()) read.push(next.value);
      assert.deepEqual(read, rows);
    });

    it("takes nothing from a reader of a dataset whose first chunk was retried", async () => {
      await writeComplete(openStorage(out()), items, { format });
      await writeRetry(out(), [0]);
      const rows = await rowsOf();
      const read: Row[] = [];
      for await (const row of (await openResults(out())).rows<keyof Row>()) {
        read.push(row);
        if (read.length === 9) await compact();
      }
      assert.deepEqual(read, rows);
    });

    it("lets a search that began before find the same", async () => {
      await writeComplete(openStorage(out()), items, { format });
      const results = await openResults(out());
      const find = async () => searchNearest(results, await queryOf(results, { index: 10 }), 5);
      const before = await find();
      await compact();
      assert.deepEqual(await find(), before);
      assert.equal(before.length, 5);
      await rm(join(out(), "compacted"), { recursive: true });
      await assert.rejects(find());
    });

    it("lists all rows where the parts go while they are listed", async () => {
      const storage = openStorage(out());
      await writeComplete(storage, items, { format });
      const compacting: Storage = {
        ...storage,
        async list(prefix) {
          if (prefix === "parts/") await compact();
          return storage.list(prefix);
        },
      };
      const listed = await listCurrentRows(compacting, format);
      assert.equal(
        listed.reduce((sum, rows) => sum + rows.chunks, 0),
        chunks,
      );
    });
  });
}
