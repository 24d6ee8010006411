/**
 * The safetensors file format (https://huggingface.co/docs/safetensors/en/index#format), float32 only: eight bytes of
 * header length, a JSON header with dtype, shape and offsets of each tensor, then the numbers. Folded weights are kept
 * in it.
 */
import { Buffer } from "node:buffer";
import { elementCount } from "../spec.js";
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

/**
 * The tensors of a file, in the order of their data, as views of `file`. Throws an Error that says what is wrong with
 * it.
 */
export function decodeSafetensors(file: Uint8Array): Tensor[] {
  const { header, dataStart } = readHeader(file);
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  entries.sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  let end = 0;
  const tensors = entries.map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [from, to],
      },
    ]): Tensor => {
      const count = elementCount(shape);
      if (dtype !== "F32") throw new Error(`tensor ${name} is ${dtype}, expected F32`);
      if (from !== end || to - from !== count * 4)
        throw new Error(`tensor ${name} has offsets ${from} to ${to}, expected ${end} to ${end + count * 4}`);
      if (dataStart + to > file.byteLength) throw new Error(`the file ends inside tensor ${name}`);
      end = to;
      return { name, shape, data: new Float32Array(file.buffer, file.byteOffset + dataStart + from, count) };
    },
  );
  if (dataStart + end !== file.byteLength)
    throw new Error(`${file.byteLength - dataStart - end} bytes follow the last tensor`);
  return tensors;
}

function readHeader(file: Uint8Array): { header: Record<string, HeaderEntry>; dataStart: number } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < lengthBytes) throw new Error("the file ends inside its header");
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > maxHeaderBytes) throw new Error(`the header claims ${length} bytes`);
  const dataStart = lengthBytes + length;
  if (dataStart > bytes.length) throw new Error("the file ends inside its header");
  if ((file.byteOffset + dataStart) % 4 !== 0) throw new Error("the data is not aligned to 4 bytes");
  return { header: JSON.parse(bytes.toString("utf8", lengthBytes, dataStart)), dataStart };
}
