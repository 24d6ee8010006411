import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type GraphProto, type ModelProto, ModelProtoSchema } from "../../src/worker/model/onnx_pb.js";

/** Compiled, this file is dist/test/support/onnx-fixtures.js. What bench/parity/make_onnx_fixtures.py wrote. */
const folder = new URL("../../../test/fixtures/onnx/", import.meta.url);

export const onnxFixtures = [
  "torchscript",
  "dynamo",
  "external",
  "softmax",
  "one-image",
  "keras",
  "bytes",
  "oldest",
  "quantized",
] as const;
export type OnnxFixture = (typeof onnxFixtures)[number];

export function onnxPath(name: OnnxFixture): string {
  return fileURLToPath(new URL(`${name}.onnx`, folder));
}

/** What PyTorch, or ONNX Runtime on the unchanged file, says of `fixtureImage`. */
export function expectedOf(name: OnnxFixture): { readonly embedding: number[]; readonly logits: number[] } {
  return JSON.parse(readFileSync(new URL("expected.json", folder), "utf8"))[name];
}

/** The bytes of a fixture after `edit`. */
export function edited(name: OnnxFixture, edit: (graph: GraphProto, model: ModelProto) => void): Uint8Array {
  const model = fromBinary(ModelProtoSchema, new Uint8Array(readFileSync(onnxPath(name))));
  if (model.graph === undefined) throw new Error(`${name} has no graph`);
  edit(model.graph, model);
  return toBinary(ModelProtoSchema, model);
}
