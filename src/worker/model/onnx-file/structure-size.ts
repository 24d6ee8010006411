import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** Field of ModelProto, of GraphProto, and those of TensorProto that hold its data. */
const graphField = 7;
const initializerField = 5;
const dataFields: readonly number[] = [4, 5, 6, 7, 9, 10, 11];

/**
 * How many bytes a serialised ModelProto has besides the data of its initializers: those that parsing makes objects of. Makes
 * none itself. Throws an Error where the bytes are not protobuf.
 */
export function structureBytes(bytes: Uint8Array): number {
  let data = 0;
  eachField(bytes, (field, graph) => {
    if (field !== graphField) return;
    eachField(graph, (part, tensor) => {
      if (part !== initializerField) return;
      eachField(tensor, (place, content) => {
        if (dataFields.includes(place)) data += content.byteLength;
      });
    });
  });
  return bytes.byteLength - data;
}

/** Calls `visit` for the fields that have a length. */
function eachField(message: Uint8Array, visit: (field: number, content: Uint8Array) => void): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(field, reader.bytes());
    else reader.skip(wireType, field);
  }
}
