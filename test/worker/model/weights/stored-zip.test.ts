import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { isZip, readStoredZip } from "../../../../src/worker/model/weights/stored-zip.js";
import { storedZip } from "../../../support/stored-zip.js";
import { fixtureBytes } from "../../../support/weight-fixtures.js";

const entries = new Map([
  ["a/data.pkl", Uint8Array.of(1, 2, 3)],
  ["a/data/0", new Uint8Array(40).fill(7)],
]);

describe("worker/model/weights/stored-zip", () => {
  it("reads what torch.save wrote", () => {
    const names = [...readStoredZip(fixtureBytes("state-dict.pth")).keys()];
    assert.deepEqual(names.slice(0, 2), ["state-dict/data.pkl", "state-dict/.format_version"]);
    assert.ok(names.includes("state-dict/data/0"));
  });

  it("gives back the entries", () => {
    const read = readStoredZip(storedZip(entries));
    assert.deepEqual(
      [...read].map(([name, data]) => [name, [...data]]),
      [...entries].map(([name, data]) => [name, [...data]]),
    );
    assert.equal(isZip(storedZip(entries)), true);
    assert.equal(isZip(Uint8Array.of(0x50, 0x4b)), false);
  });

  it("refuses an archive that was cut at any byte", () => {
    const whole = storedZip(entries);
    for (let end = 0; end < whole.length; end += 1)
      assert.throws(() => readStoredZip(whole.slice(0, end)), /cut short/);
  });

  it("refuses an entry with one flipped bit, naming it and where its bytes start", () => {
    const archive = storedZip(entries);
    const at = Buffer.from(archive).indexOf(Buffer.alloc(40, 7));
    archive[at + 5] = 6;
    assert.throws(() => readStoredZip(archive), new RegExp(`entry a/data/0 is damaged: its CRC-32, from byte ${at},`));
  });

  it("refuses compressed, encrypted and doubled entries", () => {
    const archive = Buffer.from(storedZip(entries));
    const central = archive.indexOf("PK\x01\x02");
    const patched = (offset: number, value: number) => {
      const copy = Buffer.from(archive);
      copy.writeUInt16LE(value, central + offset);
      return new Uint8Array(copy);
    };
    assert.throws(() => readStoredZip(patched(10, 8)), /a\/data.pkl is compressed/);
    assert.throws(() => readStoredZip(patched(8, 1)), /a\/data.pkl is encrypted/);
    const packed = deflateRawSync(new Uint8Array(1000));
    assert.throws(() => readStoredZip(new Uint8Array(packed)), /cut short/);
    const twice = Buffer.from(
      storedZip(
        new Map([
          ["a", Uint8Array.of(1)],
          ["b", Uint8Array.of(1)],
        ]),
      ),
    );
    twice[twice.lastIndexOf("b")] = "a".charCodeAt(0);
    assert.throws(() => readStoredZip(new Uint8Array(twice)), /the zip entry a is there twice/);
  });

  it("refuses entries that claim the same bytes, before it reads them again and again", () => {
    const archive = Buffer.from(storedZip(new Map([["a", new Uint8Array(1000)]])));
    const [central, end] = [archive.indexOf("PK\x01\x02"), archive.indexOf("PK\x05\x06")];
    const listed = ["a", "b"].map((name) => {
      const entry = Buffer.from(archive.subarray(central, end));
      entry.write(name, entry.length - 1);
      return entry;
    });
    const tail = Buffer.from(archive.subarray(end));
    tail.writeUInt16LE(listed.length, 10);
    const overlapping = new Uint8Array(Buffer.concat([archive.subarray(0, central), ...listed, tail]));
    assert.throws(
      () => readStoredZip(overlapping),
      new RegExp(`the zip entries up to b claim more than the file's ${overlapping.length} bytes`),
    );
  });

  it("gives entries or an Error for any change of its directory", () => {
    const archive = storedZip(entries);
    const change = fc.record({ at: fc.nat(archive.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const copy = archive.slice();
        for (const { at, byte } of changes) copy[at] = byte;
        try {
          for (const data of readStoredZip(copy).values()) assert.ok(data.length <= archive.length);
        } catch (error) {
          assert.equal((error as Error).constructor, Error, String(error));
        }
      }),
      { numRuns: 2_000, seed: 4 },
    );
  });
});
