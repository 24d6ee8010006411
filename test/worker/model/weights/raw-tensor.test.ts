import assert from "node:assert/strict";
import { toFloat32 } from "../../../../src/worker/model/weights/raw-tensor.js";

/** `halves` as a tensor of that type, at an odd byte, as in a file with an odd header. */
function tensorOf(dtype: "F16" | "BF16", ...halves: number[]) {
  const bytes = new Uint8Array([0, ...new Uint8Array(Uint16Array.from(halves).buffer)]).subarray(1);
  return { name: "t", shape: [halves.length], dtype, bytes };
}

describe("worker/model/weights/raw-tensor", () => {
  it("reads every binary16 as IEEE 754 defines it", () => {
    const halves = Array.from({ length: 0x10000 }, (_, half) => half);
    const { data } = toFloat32(tensorOf("F16", ...halves));
    for (const half of halves) {
      const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
      const special = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
      const finite = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
      assert.ok(Object.is(data[half], exponent === 31 ? special : sign * finite), `0x${half.toString(16)}`);
    }
  });

  it("reads bfloat16 as the upper half of a float32", () => {
    const { data } = toFloat32(tensorOf("BF16", 0x3f80, 0xc000, 0x7f80, 0x0001));
    assert.deepEqual([...data], [1, -2, Number.POSITIVE_INFINITY, 2 ** -133]);
  });

  it("reads float32 where it lies, or from a copy where that is not aligned", () => {
    const bytes = new Uint8Array(Float32Array.of(0, 1.5).buffer);
    const there = toFloat32({ name: "t", shape: [1], dtype: "F32", bytes: bytes.subarray(4) });
    assert.equal(there.data.buffer, bytes.buffer);
    const shifted = new Uint8Array([0, ...bytes]).subarray(1);
    assert.deepEqual([...toFloat32({ name: "t", shape: [2], dtype: "F32", bytes: shifted }).data], [0, 1.5]);
  });

  it("rounds float64 to float32, from wherever it lies", () => {
    const bytes = new Uint8Array([0, ...new Uint8Array(Float64Array.of(0.1, -2).buffer)]).subarray(1);
    const { data } = toFloat32({ name: "t", shape: [2], dtype: "F64", bytes });
    assert.deepEqual([...data], [Math.fround(0.1), -2]);
  });

  it("reads each type at each place of a file, whatever kind of array holds it", () => {
    const given = [
      ["F32", Float32Array.of(1.5, -2)],
      ["F64", Float64Array.of(1.5, -2)],
      ["F16", Uint16Array.of(0x3e00, 0xc000)],
      ["BF16", Uint16Array.of(0x3fc0, 0xc000)],
    ] as const;
    for (const [dtype, { buffer }] of given) {
      for (let at = 0; at < 9; at += 1) {
        const file = Buffer.concat([Buffer.alloc(at, 7), new Uint8Array(buffer), Buffer.alloc(8, 7)]);
        const bytes = file.subarray(at, at + buffer.byteLength);
        const { data } = toFloat32({ name: "t", shape: [2], dtype, bytes });
        assert.deepEqual([...data], [1.5, -2], `${dtype} at ${at}`);
      }
    }
  });

  it("refuses what is no float", () => {
    const tensor = { name: "bn1.weight", shape: [1], dtype: "I64", bytes: new Uint8Array(8) };
    assert.throws(() => toFloat32(tensor), /tensor bn1.weight is I64, expected F32, F64, F16 or BF16/);
  });
});
