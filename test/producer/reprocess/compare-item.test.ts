import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compareItem } from "../../../src/producer/reprocess/compare-item.js";
import { useTempDir } from "../../support/temp-dir.js";

describe("producer/reprocess/compare-item", () => {
  const tempDir = useTempDir();
  const plain = { isStale: false, verifyBytes: false };

  /** A file of four bytes, and the row that it would have. */
  async function fileAndRow(name = "a.jpg") {
    const uri = join(tempDir(), name);
    await writeFile(uri, "four");
    const modifiedMs = (await stat(uri)).mtime.getTime();
    const sha256 = createHash("sha256").update("four").digest();
    return { item: { uri, isInvalid: false }, row: { index: 3, errorCode: null, bytes: 4, modifiedMs, sha256 } };
  }

  it("tells by size and time, of odd names too, whether a file has changed", async () => {
    const { item, row } = await fileAndRow('new\nline "é".jpg');
    const classOf = async (given: typeof row | null) => (await compareItem(item, given, plain)).itemClass;
    assert.deepEqual(
      [
        await classOf(row),
        await classOf({ ...row, bytes: 5 }),
        await classOf({ ...row, modifiedMs: 0 }),
        await classOf(null),
      ],
      ["unchanged", "changed", "changed", "new"],
    );
  });

  it("takes what is gone, or is no file any more, for changed, and reads none of it", async () => {
    const { row } = await fileAndRow();
    const fifo = join(tempDir(), "fifo");
    execFileSync("mkfifo", [fifo]);
    await mkdir(join(tempDir(), "dir"));
    for (const uri of [fifo, join(tempDir(), "dir"), join(tempDir(), "gone"), "/nul\0"]) {
      const found = await compareItem({ uri, isInvalid: false }, row, { isStale: false, verifyBytes: true });
      assert.deepEqual([found.itemClass, found.bytes, found.size], ["changed", "changed", 4]);
    }
  });

  it("says that a failed row's bytes have changed only where it had some", async () => {
    const { item, row } = await fileAndRow();
    const failed = { ...row, errorCode: "DECODE_CORRUPT", bytes: 9 };
    const compared = await compareItem(item, failed, plain);
    assert.deepEqual([compared.itemClass, compared.bytes], ["failed", "changed"]);
    assert.equal((await compareItem(item, { ...failed, bytes: null }, plain)).bytes, "unknown");
  });

  it("knows nothing of what lies on a server, and needs to know nothing where all is stale", async () => {
    const { item, row } = await fileAndRow();
    const web = await compareItem({ uri: "https://example.org/a.jpg", isInvalid: false }, row, plain);
    assert.deepEqual([web.itemClass, web.size], ["unknown", 4]);
    assert.equal((await compareItem(item, row, { ...plain, isStale: true })).itemClass, "stale");
  });

  it("compares a member of a shard by the shard's time and its own length", async () => {
    const { item, row } = await fileAndRow("shard.tar");
    const uri = `tar+file://${item.uri}#member=a.jpg&offset=512&length=4`;
    assert.equal((await compareItem({ uri, isInvalid: false }, row, plain)).itemClass, "unchanged");
    const later = { ...row, modifiedMs: row.modifiedMs - 1 };
    assert.equal((await compareItem({ uri, isInvalid: false }, later, plain)).itemClass, "changed");
  });
});
