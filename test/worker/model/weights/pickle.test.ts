import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { type PickleHost, unpickle } from "../../../../src/worker/model/weights/pickle.js";
import { readStoredZip } from "../../../../src/worker/model/weights/stored-zip.js";
import { fixtureBytes } from "../../../support/weight-fixtures.js";

const host: PickleHost = {
  isAllowed: (global) => global === "collections.OrderedDict",
  call: () => new Map(),
  persistent: (id) => ({ id }),
};
/** Knows every global of a state_dict, and makes nothing of them. */
const lenient: PickleHost = { isAllowed: () => true, call: (_, args) => args, persistent: (id) => id };

const read = (...parts: (string | number[])[]) => {
  const bytes = parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part)));
  return unpickle(new Uint8Array(Buffer.concat(bytes)), host);
};

/** `pickle.dumps({"a": [1, 300, -2, True, None, 0.5], "b": (1, (2, 3), ())}, protocol=2)` of CPython 3.11. */
const dumped =
  "80027d71002858010000006171015d7102284b014d2c014afeffffff884e473f" +
  "e00000000000006558010000006271034b014b024b0386710429877105752e";

describe("worker/model/weights/pickle", () => {
  it("reads what CPython wrote", () => {
    const bytes = Buffer.from(dumped, "hex");
    const expected = new Map<string, unknown>([
      ["a", [1, 300, -2, true, null, 0.5]],
      ["b", [1, [2, 3], []]],
    ]);
    assert.deepEqual(unpickle(new Uint8Array(bytes), host), expected);
  });

  it("reads integers of any length up to 8 bytes", () => {
    assert.equal(read([0x8a, 0], "."), 0);
    assert.equal(read([0x8a, 1, 0xff], "."), -1);
    assert.equal(read([0x8a, 5, 0, 0, 0, 0, 1], "."), 2 ** 32);
    assert.throws(
      () => read([0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9], "."),
      /byte 0 of the pickle: it holds an integer of 9/,
    );
  });

  it("refuses a global that its host does not allow, naming it and the byte, before anything is called", () => {
    assert.throws(
      () => read([0x80, 2], "cposix\nsystem\n", "X\x09\0\0\0echo hello", [0x85], "R."),
      /^Error: byte 2 of the pickle: the global posix.system is not allowed; nothing of the file was run/,
    );
  });

  it("refuses the opcodes by which a pickle reaches other code", () => {
    for (const opcode of ["i", "o", "\x81", "\x93", "\x82", "P"])
      assert.throws(() => read("(", opcode, "os\nsystem\n."), /byte 1 of the pickle: opcode 0x.. is not one/);
  });

  it("refuses other protocols", () => {
    assert.throws(() => read([0x80, 4, 0x95]), /byte 0 of the pickle: it is of protocol 4, expected 2/);
  });

  it("refuses what does not add up, naming the byte", () => {
    const cases: [RegExp, ...(string | number[])[]][] = [
      [/byte 0 .* the pickle ends here/],
      [/byte 0 .* a value that is not there/, "."],
      [/byte 1 .* a value that is not there/, "(.", ""],
      [/byte 0 .* closes what it has not opened/, "t."],
      [/byte 0 .* recalls 7, which it has not kept/, "h\x07."],
      [/byte 0 .* ends inside a name/, "ccollections"],
      [/byte 0 .* the pickle ends here/, "X\xff\xff\xff\xffabc"],
      [/byte 3 .* sets items of what is no dict/, "K\x01(u."],
      [/byte 4 .* sets a key without a value/, "}(K\x01u."],
      [/byte 3 .* appends to what is no list/, "}K\x01a."],
      [/byte 2 .* calls what is no function/, "N)R."],
      [/byte 2 .* sets attributes of what is no dict/, "N}b."],
    ];
    for (const [reason, ...parts] of cases) assert.throws(() => read(...parts), reason);
  });

  it("gives a value or an Error that names a byte for any change of a real pickle, in bounded time", () => {
    const pickle = readStoredZip(fixtureBytes("state-dict.pth")).get("state-dict/data.pkl") as Uint8Array;
    const change = fc.record({ at: fc.nat(pickle.length - 1), byte: fc.nat(255) });
    const changes = fc.array(change, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(changes, fc.nat(pickle.length), (made, end) => {
        const copy = pickle.slice(0, end);
        for (const { at, byte } of made) copy[at] = byte;
        try {
          unpickle(copy, lenient);
        } catch (error) {
          assert.match((error as Error).message, /^byte \d+ of the pickle: /);
        }
      }),
      { numRuns: 3_000, seed: 5 },
    );
  });

  it("gives a value or an Error for any sequence of its own opcodes", () => {
    const opcodes = [
      0x28, 0x7d, 0x5d, 0x29, 0x4e, 0x4b, 0x74, 0x85, 0x86, 0x87, 0x71, 0x68, 0x52, 0x62, 0x51, 0x73, 0x75,
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...opcodes, 0x61, 0x65, 0x2e, 0), { maxLength: 200 }), (bytes) => {
        try {
          unpickle(Uint8Array.from(bytes), lenient);
        } catch (error) {
          assert.match((error as Error).message, /^byte \d+ of the pickle: /);
        }
      }),
      { numRuns: 5_000, seed: 6 },
    );
  });
});
