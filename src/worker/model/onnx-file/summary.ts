import type { TensorProto } from "../onnx_pb.js";
import { constantsOf } from "./constant-shapes.js";
import { type Classifier, findClassifier, findImageInput, type ImageInput } from "./ports.js";
import { readOnnxGraph } from "./read-graph.js";
import type { StoredOnnxFile } from "./stored.js";
import { claimedElements } from "./tensor-size.js";

/** One node with constants of its own; an ONNX file does not say what shape its output has. */
export interface OnnxLayer {
  /** Name of the node's first output. */
  readonly name: string;
  /** Operator. */
  readonly kind: string;
  /** Numbers in the constants that no earlier node uses. */
  readonly params: number;
}

/** `models summary` of an ONNX file, of what the file says and no more. */
export interface OnnxSummary {
  readonly name: string;
  readonly title: string;
  readonly opset: number;
  readonly input: ImageInput;
  readonly classifier: Classifier;
  /** In the file's order, which is that of running. */
  readonly layers: readonly OnnxLayer[];
  readonly totals: { readonly params: number; readonly bytes: number };
}

/** TensorProto.DataType int64, string and bool: shapes, axes and choices rather than weights. */
const notWeights: readonly number[] = [7, 8, 9];

/** Throws an Error where the files are not such that they could have been imported. */
export function summarizeOnnxFile({ model, files }: StoredOnnxFile): OnnxSummary {
  const onnx = readOnnxGraph(files.onnx);
  const unused = constantsOf(onnx.graph);
  const take = (name: string): number => {
    const tensor = unused.get(name);
    unused.delete(name);
    return tensor === undefined ? 0 : paramsOf(tensor);
  };
  const layers = onnx.graph.node
    .filter(({ opType }) => opType !== "Constant")
    .map(({ opType, input, output }) => ({
      name: output[0] ?? "",
      kind: opType,
      params: input.reduce((sum, name) => sum + take(name), 0),
    }))
    .filter(({ params }) => params > 0);
  return {
    name: model.name,
    title: model.title,
    opset: onnx.opset,
    input: findImageInput(onnx, model.preprocess.cropSize),
    classifier: findClassifier(onnx),
    layers,
    totals: {
      params: layers.reduce((sum, { params }) => sum + params, 0),
      bytes: files.external.reduce((sum, { data }) => sum + data.byteLength, files.onnx.byteLength),
    },
  };
}

function paramsOf(tensor: TensorProto): number {
  return notWeights.includes(tensor.dataType) ? 0 : claimedElements(tensor);
}
