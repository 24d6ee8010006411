/**
 * The safetensors file format (https://huggingface.co/docs/safetensors/en/index#format): eight bytes of header length, a
 * JSON header with dtype, shape and offsets of each tensor, then the numbers. Folded weights are kept in it, as float32
 * only, and users' weights come in it.
 */
import { Buffer } from "node:buffer";
import { elementCount } from "../spec.js";
import { elementBytes, type RawTensor, toFloat32 } from "./raw-tensor.js";
import { bytesOf, type Tensor } from "./tensor.js";

const lengthBytes = 8;
/** Bound of the header that the reference implementation sets, in bytes. */
const maxHeaderBytes = 100_000_000;

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The file as chunks to be written one after another; tensor data is not copied. */
export function encodeSafetensors(tensors: Iterable<Tensor>): Uint8Array[] {
  const header: Record<string, HeaderEntry> = {};
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const { name, shape, data } of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + data.byteLength] };
    chunks.push(bytesOf(data));
    end += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header), "utf8");
  // Spaces after the JSON align the data to 8 bytes, so that a reader can lay a Float32Array over it.
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, " ");
  json.copy(padded);
  const length = Buffer.alloc(lengthBytes);
  length.writeBigUInt64LE(BigInt(padded.length));
  return [length, padded, ...chunks];
}

/** The tensors of a file that holds float32 alone; otherwise as `readSafetensors`. */
export function decodeSafetensors(file: Uint8Array): Tensor[] {
  return readSafetensors(file).map((tensor) => {
    if (tensor.dtype !== "F32") throw new Error(`tensor ${tensor.name} is ${tensor.dtype}, expected F32`);
    return toFloat32(tensor);
  });
}

/**
 * The tensors of a file, in the order of their data, as views of `file`. Throws an Error that says what is wrong with
 * it.
 */
export function readSafetensors(file: Uint8Array): RawTensor[] {
  const { header, dataStart } = readHeader(file);
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const checked = entries.map(([name, entry]) => ({ name, ...checkEntry(name, entry) }));
  checked.sort((a, b) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  let end = 0;
  const tensors = checked.map(({ name, dtype, shape, data_offsets: [from, to] }): RawTensor => {
    const bytes = elementCount(shape) * elementBytes(dtype, name);
    if (from !== end || to - from !== bytes)
      throw new Error(`tensor ${name} has offsets ${from} to ${to}, expected ${end} to ${end + bytes}`);
    if (dataStart + to > file.byteLength) throw new Error(`the file ends inside tensor ${name}`);
    end = to;
    return { name, dtype, shape, bytes: file.subarray(dataStart + from, dataStart + to) };
  });
  if (dataStart + end !== file.byteLength)
    throw new Error(`${file.byteLength - dataStart - end} bytes follow the last tensor`);
  return tensors;
}

function readHeader(file: Uint8Array): { header: object; dataStart: number } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < lengthBytes) throw new Error("the file ends inside its header");
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > maxHeaderBytes) throw new Error(`the header claims ${length} bytes`);
  const dataStart = lengthBytes + length;
  if (dataStart > bytes.length) throw new Error("the file ends inside its header");
  const header: unknown = JSON.parse(bytes.toString("utf8", lengthBytes, dataStart));
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw new Error("the header is not a JSON object");
  return { header, dataStart };
}

function checkEntry(name: string, value: unknown): HeaderEntry {
  const { dtype, shape, data_offsets } = (value ?? {}) as Partial<Record<keyof HeaderEntry, unknown>>;
  const areSizes = (sizes: unknown): sizes is number[] =>
    Array.isArray(sizes) && sizes.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (typeof dtype !== "string" || !areSizes(shape) || !areSizes(data_offsets) || data_offsets.length !== 2)
    throw new Error(`the header's entry of tensor ${name} is not one of dtype, shape and data_offsets`);
  return { dtype, shape, data_offsets: data_offsets as [number, number] };
}
