/**
 * How many bytes the tensors of an ONNX graph claim, against how many they bring along, so that no program has to allocate
 * for a claim that nothing backs. It reads no values. Data types and fields are those of TensorProto
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 */
import type { TensorProto } from "../onnx_pb.js";

/** Bytes of one element by TensorProto.DataType; null where elements are strings. The rest (float8, int4) is not read. */
const elementBytes: ReadonlyMap<number, number | null> = new Map([
  [1, 4], // float
  [2, 1], // uint8
  [3, 1], // int8
  [4, 2], // uint16
  [5, 2], // int16
  [6, 4], // int32
  [7, 8], // int64
  [8, null], // string
  [9, 1], // bool
  [10, 2], // float16
  [11, 8], // double
  [12, 4], // uint32
  [13, 8], // uint64
  [14, 8], // complex64
  [15, 16], // complex128
  [16, 2], // bfloat16
]);

/** Fields that hold numbers one by one, where there is no raw_data, and the bytes of each; 0 for varints and strings. */
const typedFields: ReadonlyMap<number, number> = new Map([
  [4, 4], // float_data
  [5, 0], // int32_data
  [6, 0], // string_data
  [7, 0], // int64_data
  [10, 8], // double_data
  [11, 0], // uint64_data
]);
const stringData = 6;
const complexTypes: readonly number[] = [14, 15];
const lengthDelimited = 2;
const externalLocation = 1;

/** Most elements of one tensor; ONNX's limit of a file allows no more of one byte each. */
const maxElements = 2 ** 31 - 1;

/** Whether the tensor's bytes lie in another file. */
export function isExternal({ dataLocation }: TensorProto): boolean {
  return dataLocation === externalLocation;
}

/** How many numbers the tensor claims to hold. Throws an Error that names it where that cannot be. */
export function claimedElements({ name, dims }: TensorProto): number {
  let elements = 1;
  for (const dim of dims) {
    elements *= Number(dim);
    if (dim < 0n || elements > maxElements)
      throw new Error(`tensor ${name || "without a name"} claims the shape [${dims.join(", ")}]`);
  }
  return elements;
}

/** How many bytes the tensor claims to have, as raw or external data. Throws an Error that names it. */
export function claimedBytes(tensor: TensorProto): number {
  const bytes = elementBytes.get(tensor.dataType);
  if (bytes === undefined)
    throw new Error(`tensor ${tensor.name} is of data type ${tensor.dataType}, which is not read`);
  if (bytes === null) throw new Error(`tensor ${tensor.name} is of strings, expected numbers`);
  return claimedElements(tensor) * bytes;
}

/** Throws an Error that names the tensor where the data inside it is not as much as it claims. */
export function checkInnerSize(tensor: TensorProto): void {
  const { name, dataType, rawData } = tensor;
  if (rawData !== undefined && rawData.byteLength > 0) {
    const claimed = claimedBytes(tensor);
    if (rawData.byteLength === claimed) return;
    throw new Error(
      `tensor ${name} has ${rawData.byteLength} bytes, its shape [${tensor.dims.join(", ")}] claims ${claimed}`,
    );
  }
  const claimed = claimedElements(tensor) * (complexTypes.includes(dataType) ? 2 : 1);
  const found = (tensor.$unknown ?? []).reduce((sum, field) => sum + typedCount(field), 0);
  if (found !== claimed)
    throw new Error(`tensor ${name} has ${found} elements, its shape [${tensor.dims.join(", ")}] claims ${claimed}`);
}

interface UnknownField {
  readonly no: number;
  readonly wireType: number;
  readonly data: Uint8Array;
}

/** Elements in one field as it was on the wire: packed, many behind a length; else one. */
function typedCount({ no, wireType, data }: UnknownField): number {
  const width = typedFields.get(no);
  if (width === undefined) return 0;
  if (wireType !== lengthDelimited || no === stringData) return 1;
  const packed = data.subarray(varintBytes(data));
  // Each varint ends in its only byte without the high bit.
  return width === 0 ? packed.reduce((sum, byte) => sum + (byte < 0x80 ? 1 : 0), 0) : packed.byteLength / width;
}

function varintBytes(data: Uint8Array): number {
  return data.findIndex((byte) => byte < 0x80) + 1;
}
