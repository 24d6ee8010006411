import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { partPath } from "../../src/dataset/layout.js";
import { commitPart } from "../../src/dataset/part.js";
import { shortFloat32 } from "../../src/dataset/part-jsonl.js";
import { rowColumns } from "../../src/dataset/row.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { inDirectory, okRow, sampleDraft } from "./samples.js";

describe("dataset/part-jsonl", () => {
  it("shortens floats to nine digits that read back the same", () => {
    assert.deepEqual(
      [0.1, 1 / 3, 16777216, 0, 1.5].map((x) => shortFloat32(Math.fround(x))),
      [0.1, 0.33333334, 16777216, 0, 1.5],
    );
    const property = fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const short = shortFloat32(value);
      assert.equal(Math.fround(short) + 0, value + 0);
      assert.ok(short === 0 || Number(short.toPrecision(9)) === short, `${short}`);
    });
    fc.assert(property, { numRuns: 5000 });
  });

  it("writes the columns as keys, in order, and times as ISO 8601", () =>
    inDirectory(async (directory) => {
      await commitPart(openStorage(directory), sampleDraft([okRow(0)], { format: "jsonl" }));
      const line = await readFile(join(directory, partPath(0, "jsonl")), "utf8");
      const written = JSON.parse(line);
      assert.deepEqual(Object.keys(written), Object.keys(rowColumns));
      assert.equal(written.modified_at, "2023-11-14T22:13:20.123Z");
      assert.match(line, /"embedding":\[0,0\.1,0\.33333334\]/);
    }));
});
