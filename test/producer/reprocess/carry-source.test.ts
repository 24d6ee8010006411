import assert from "node:assert/strict";
import { openCarrySource } from "../../../src/producer/reprocess/carry-source.js";
import type { EarlierRow, EarlierRows } from "../../../src/producer/reprocess/earlier-rows.js";
import { itemClassWords } from "../../../src/shared/item-classes.js";
import { numberedSource } from "../../support/run-harness.js";
import { collect } from "../../support/temp-dir.js";

/** Rows of the web items with an even number: those of tens failed, that of hundreds without any bytes. */
const earlier: EarlierRows = {
  rows: 100,
  items: 100,
  find(_id, uri): EarlierRow | null {
    const index = Number(uri.split("/").at(-1));
    if (index % 2 === 1) return null;
    const errorCode = index % 100 === 0 ? "FETCH_TIMEOUT" : index % 10 === 0 ? "DECODE_CORRUPT" : null;
    return { index, errorCode, bytes: index % 100 === 0 ? null : 5, modifiedMs: null, sha256: null };
  },
};

describe("producer/reprocess/carry-source", () => {
  const open = (only: readonly string[], count = 200) => {
    const source = numberedSource(count, (i) => `https://example.org/${i}`);
    const leaving = { ...source, leftOut: () => ({ odd: 1 }) };
    return openCarrySource(leaving, { only, isStale: false, verifyBytes: false, open: async () => earlier });
  };
  const carries = async (only: readonly string[]) =>
    (await collect(open(only).items(null))).map(({ uri, carry }) => [Number(uri.split("/").at(-1)), carry] as const);

  it("asks web servers for what may have changed, and makes anew what failed and is new", async () => {
    for (const [i, carry] of await carries(itemClassWords))
      assert.deepEqual(carry, i % 2 === 1 || i % 10 === 0 ? undefined : { row: i, ask: true });
  });

  it("asks nothing where changed items are not wanted, and leaves new ones out where they are not", async () => {
    const found = await carries(["failed:FETCH_TIMEOUT"]);
    assert.equal(found.length, 100);
    for (const [i, carry] of found) assert.deepEqual(carry, i % 100 === 0 ? undefined : { row: i, ask: false });
  });

  it("asks for failed items that had bytes, where changed ones are wanted and failed ones are not", async () => {
    const found = new Map(await carries(["changed"]));
    assert.deepEqual(
      [found.get(10), found.get(100)],
      [
        { row: 10, ask: true },
        { row: 100, ask: false },
      ],
    );
  });

  it("goes on behind any item with its token, and counts what lies before the item that it gave last", async () => {
    const source = open(["failed"]);
    const first = source.items(null)[Symbol.asyncIterator]();
    const tokens = [(await first.next()).value?.token, (await first.next()).value?.token];
    assert.deepEqual(source.leftOut(), { odd: 1, "new, which --only does not name": 1 });
    const rest = await collect(open(["failed"]).items(tokens[1] ?? null));
    assert.deepEqual([rest[0]?.uri, rest.length], ["https://example.org/4", 98]);
  });

  it("takes one item of a source of which one is wanted, as stdin may be read once", async () => {
    let given = 0;
    const source = numberedSource(10, (i) => `https://example.org/${2 * i}`);
    async function* items() {
      for await (const item of source.items(null)) {
        given += 1;
        yield item;
      }
    }
    const comparing = { only: itemClassWords, isStale: false, verifyBytes: false, open: async () => earlier };
    for await (const _ of openCarrySource({ ...source, items }, comparing).items(null)) break;
    assert.equal(given, 1);
  });
});
