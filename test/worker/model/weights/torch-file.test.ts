import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { elementCount } from "../../../../src/worker/model/spec.js";
import { readStoredZip } from "../../../../src/worker/model/weights/stored-zip.js";
import { readTorchFile } from "../../../../src/worker/model/weights/torch-file.js";
import { storedZip } from "../../../support/stored-zip.js";
import { fixtureBytes } from "../../../support/weight-fixtures.js";

const sorted = (file: Uint8Array) => readTorchFile(file).sort((a, b) => (a.name < b.name ? -1 : 1));

/** The fixture with its entries changed, and their CRCs made to fit. */
function changed(change: (entries: Map<string, Uint8Array>) => void): Uint8Array {
  const entries = readStoredZip(fixtureBytes("state-dict.pth"));
  change(entries);
  return storedZip(entries);
}

/** The fixture with `from` replaced by `to` in its pickle, once. */
function edited(from: string, to: string): Uint8Array {
  return changed((entries) => {
    const pickle = Buffer.from(entries.get("state-dict/data.pkl") ?? "").toString("latin1");
    assert.ok(pickle.includes(from));
    entries.set(
      "state-dict/data.pkl",
      new Uint8Array(
        Buffer.from(
          pickle.replace(from, () => to),
          "latin1",
        ),
      ),
    );
  });
}

describe("worker/model/weights/torch-file", () => {
  it("reads every tensor of a state_dict, with its shape and type", () => {
    const tensors = readTorchFile(fixtureBytes("state-dict.pth"));
    assert.equal(tensors.length, 74);
    const { name, shape, dtype, bytes } = tensors[0] ?? assert.fail();
    assert.deepEqual(
      { name, shape, dtype, bytes: bytes.length },
      { name: "conv1.weight", shape: [4, 3, 7, 7], dtype: "F32", bytes: 2352 },
    );
    const counted = tensors.find((tensor) => tensor.name === "bn1.num_batches_tracked");
    assert.deepEqual([counted?.shape, counted?.dtype, counted?.bytes[0]], [[], "I64", 100]);
  });

  it("reads the same from a checkpoint, from parameters, and from memory in another order", () => {
    const expected = sorted(fixtureBytes("state-dict.pth"));
    for (const other of ["checkpoint.pth", "parameters.pth", "channels-last.pth"])
      assert.deepEqual(
        sorted(fixtureBytes(other)).map((t) => ({ ...t, bytes: [...t.bytes] })),
        expected.map((t) => ({ ...t, bytes: [...t.bytes] })),
        other,
      );
  });

  it("refuses a whole module, naming the first global that it would run", () => {
    assert.throws(
      () => readTorchFile(fixtureBytes("whole-module.pth")),
      /byte \d+ of the pickle: the global \w+\.TinyResNet is not allowed/,
    );
  });

  it("refuses a global that runs commands", () => {
    const evil = edited("ctorch._utils\n_rebuild_tensor_v2\n", "cos\nsystem\n");
    assert.throws(() => readTorchFile(evil), /the global os.system is not allowed/);
    const nested = edited("ccollections\nOrderedDict\n", "cbuiltins\neval\n");
    assert.throws(() => readTorchFile(nested), /byte 2 of the pickle: the global builtins.eval is not allowed/);
  });

  it("refuses a storage that is missing or of another size, naming the tensor", () => {
    const missing = changed((entries) => void entries.delete("state-dict/data/0"));
    assert.throws(() => readTorchFile(missing), /the storage 0 of tensor conv1.weight is missing/);
    const short = changed((entries) => void entries.set("state-dict/data/0", new Uint8Array(2348)));
    assert.throws(() => readTorchFile(short), /the storage of tensor conv1.weight has 2348 bytes, expected 2352/);
  });

  it("refuses a tensor that reaches beyond its storage, or claims more memory than the file has", () => {
    // Shape (4, 3, 7, 7): BININT1 4, 3, 7, 7. The first 4 becomes 5.
    const beyond = edited("(K\x04K\x03K\x07K\x07t", "(K\x05K\x03K\x07K\x07t");
    assert.throws(() => readTorchFile(beyond), /tensor conv1.weight reaches to element 734 of a storage of 588/);
    // 2,147,483,647 rows at step 0.
    const strides = "(K\x93K1K\x07K\x01t";
    const steps0 = Buffer.from(edited(strides, "(K\0K1K\x07K\x01t"));
    const entries = readStoredZip(new Uint8Array(steps0));
    const pickle = Buffer.from(entries.get("state-dict/data.pkl") ?? "").toString("latin1");
    const huge = pickle.replace("(K\x04K\x03K\x07K\x07t", () => "(J\xff\xff\xff\x7fK\x03K\x07K\x07t");
    entries.set("state-dict/data.pkl", new Uint8Array(Buffer.from(huge, "latin1")));
    assert.throws(() => readTorchFile(storedZip(entries)), /the tensors up to conv1.weight claim more than the file's/);
  });

  it("refuses shapes and names that one tensor after another would be read through anew", () => {
    const long = changed((entries) => {
      const pickle = Buffer.from(entries.get("state-dict/data.pkl") ?? "").toString("latin1");
      const longer = pickle
        .replace("(K\x04K\x03K\x07K\x07t", () => `(K\x04K\x03K\x07K\x07${"K\x01".repeat(5)}t`)
        .replace("(K\x93K1K\x07K\x01t", () => `(K\x93K1K\x07K\x01${"K\x01".repeat(5)}t`);
      entries.set("state-dict/data.pkl", new Uint8Array(Buffer.from(longer, "latin1")));
    });
    assert.throws(
      () => readTorchFile(long),
      /a call of torch\._utils\._rebuild_tensor_v2 that torch\.save does not write/,
    );
    const key = edited("X\x01\0\0\x000", `X\x15\0\0\0${"0".repeat(21)}`);
    assert.throws(() => readTorchFile(key), /a persistent id that names no storage/);
  });

  it("refuses what is no state_dict, and an archive that torch.save did not write", () => {
    const empty = changed((entries) => void entries.set("state-dict/data.pkl", Uint8Array.of(0x80, 2, 0x7d, 0x2e)));
    assert.throws(() => readTorchFile(empty), /expected a state_dict, tensors by name/);
    const foreign = storedZip(new Map([["readme.txt", Uint8Array.of(1)]]));
    assert.throws(() => readTorchFile(foreign), /expected one data.pkl in the zip archive, found 0/);
    const big = changed((entries) => void entries.set("state-dict/byteorder", Buffer.from("big")));
    assert.throws(() => readTorchFile(big), /big-endian/);
  });

  it("gives whole tensors or an Error for any change of the pickle, and never more bytes than the file has", () => {
    const entries = readStoredZip(fixtureBytes("state-dict.pth"));
    const pickle = entries.get("state-dict/data.pkl") as Uint8Array;
    const change = fc.record({ at: fc.nat(pickle.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const copy = pickle.slice();
        for (const { at, byte } of changes) copy[at] = byte;
        const file = storedZip(new Map([...entries, ["state-dict/data.pkl", copy]]));
        try {
          const tensors = readTorchFile(file);
          for (const { shape, bytes } of tensors) assert.ok(bytes.length % Math.max(1, elementCount(shape)) === 0);
          assert.ok(tensors.reduce((sum, { bytes }) => sum + bytes.length, 0) <= file.length);
        } catch (error) {
          assert.equal((error as Error).constructor, Error, String(error));
        }
      }),
      { numRuns: 1_000, seed: 8 },
    );
  });
});
