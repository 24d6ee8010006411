import assert from "node:assert/strict";
import { longNameOf, paxOf } from "../../../src/producer/source/tar-extensions.js";
import { paxRecord } from "../../support/tar.js";

describe("producer/source/tar-extensions", () => {
  it("reads a long name of GNU up to its NUL", () => {
    assert.deepEqual(longNameOf(Buffer.from("a/b.jpg\0\0")).name, Buffer.from("a/b.jpg"));
    assert.deepEqual(longNameOf(Buffer.from("a/b.jpg")).name, Buffer.from("a/b.jpg"));
  });

  it("reads name and size of pax records, of which the last counts, and nothing else", () => {
    const name = "ü".repeat(300);
    const records = ["mtime=1.5", "path=x", `path=${name}`, "size=123", "comment=a\nb=c", "size="].map((record) => {
      const [key = "", ...value] = record.split("=");
      return paxRecord(key, value.join("="));
    });
    assert.deepEqual(paxOf(Buffer.from(records.join(""))), { name: Buffer.from(name), size: 123 });
    assert.deepEqual(paxOf(Buffer.alloc(0)), {});
  });

  it("tells sparse files", () => {
    const records = paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.name", "a.jpg");
    assert.deepEqual(paxOf(Buffer.from(records)), { isSparse: true, name: Buffer.from("a.jpg") });
  });

  it("says that records are broken, whatever their lengths claim", () => {
    for (const records of [
      "x",
      "5",
      "99 path=a\n",
      "0 path=a\n",
      "3 a\n",
      "9 path=a!",
      "10 =value\n",
      "-9 path=a\n",
      "999999999 a=b\n",
    ])
      assert.ok("problem" in paxOf(Buffer.from(records)), JSON.stringify(records));
    for (const [key, value] of [
      ["size", "-1"],
      ["size", "1e9"],
      ["size", "9007199254740992"],
      ["path", "a\0b"],
    ] as const)
      assert.ok("problem" in paxOf(Buffer.from(paxRecord(key, value))), `${key} ${value}`);
  });
});
