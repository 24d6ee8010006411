import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
} from "../../../../src/worker/model/weights/safetensors.js";

const tensors = [
  { name: "b", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  { name: "a", shape: [1], data: Float32Array.of(-0.5) },
];
const encode = () => new Uint8Array(Buffer.concat(encodeSafetensors(tensors)));

/** A file with that header and `dataBytes` zeros. */
function fileWith(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(JSON.stringify(header).padEnd(128));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return new Uint8Array(Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
}

describe("worker/model/weights/safetensors", () => {
  it("gives back names, shapes, numbers and order", () => {
    assert.deepEqual(decodeSafetensors(encode()), tensors);
  });

  it("writes the format of the specification", () => {
    const file = Buffer.from(encode());
    const length = Number(file.readBigUInt64LE(0));
    const header: unknown = JSON.parse(file.toString("utf8", 8, 8 + length));
    const b = { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] };
    assert.deepEqual(header, { b, a: { dtype: "F32", shape: [1], data_offsets: [24, 28] } });
    assert.equal(length % 8, 0);
    assert.equal(file.readFloatLE(8 + length + 24), -0.5);
  });

  it("refuses a file that was cut at any byte", () => {
    const whole = encode();
    for (let end = 0; end < whole.length; end += 1)
      assert.throws(() => decodeSafetensors(whole.slice(0, end)), /the file ends inside/);
  });

  it("refuses what follows the last tensor", () => {
    assert.throws(() => decodeSafetensors(new Uint8Array([...encode(), 0])), /1 bytes follow the last tensor/);
  });

  it("refuses other types, overlaps, and a header that claims too much", () => {
    const entry = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
    assert.throws(
      () => decodeSafetensors(fileWith({ a: { ...entry, dtype: "F16", shape: [2] } }, 4)),
      /tensor a is F16/,
    );
    assert.throws(
      () => decodeSafetensors(fileWith({ a: entry, b: entry }, 4)),
      /tensor b has offsets 0 to 4, expected 4 to 8/,
    );
    assert.throws(() => decodeSafetensors(new Uint8Array(16).fill(0xff)), /the header claims/);
  });

  it("refuses a header that is no table of tensors, naming the entry", () => {
    for (const entry of [
      null,
      4,
      {},
      { dtype: "F32", shape: [-1], data_offsets: [0, 4] },
      { dtype: "F32", shape: [1] },
    ])
      assert.throws(() => readSafetensors(fileWith({ a: entry }, 4)), /entry of tensor a is not one of/);
    assert.throws(() => readSafetensors(fileWith([], 0)), /header is not a JSON object/);
    const alien = { dtype: "F8_E4M3", shape: [4], data_offsets: [0, 4] };
    assert.throws(() => readSafetensors(fileWith({ a: alien }, 4)), /tensor a is of the unknown type F8_E4M3/);
  });

  it("gives tensors or an Error for any change of its header, and never more bytes than the file has", () => {
    const change = fc.record({ at: fc.nat(150), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const file = encode();
        for (const { at, byte } of changes) file[at] = byte;
        try {
          assert.ok(readSafetensors(file).reduce((sum, { bytes }) => sum + bytes.length, 0) <= file.length);
        } catch (error) {
          assert.ok(
            error instanceof Error && !(error instanceof RangeError || error instanceof TypeError),
            String(error),
          );
        }
      }),
      { numRuns: 3_000, seed: 9 },
    );
  });

  it("skips the metadata that other writers add", () => {
    const file = fileWith({ __metadata__: { format: "pt" }, a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, 4);
    assert.deepEqual(
      decodeSafetensors(file).map(({ name }) => name),
      ["a"],
    );
  });
});
