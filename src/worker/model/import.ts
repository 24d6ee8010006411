/**
 * `models import`: brings a user's ResNet into the cache, as a model that runs name. What the file says is detected, what
 * no file says (stride, epsilon, preprocessing) is the usual of the library that names its tensors so, unless given.
 * Nothing is kept of a file that does not fit.
 */
import { basename } from "node:path";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { findModel, type SpecModel } from "./catalog.js";
import { architectureOf, defaultLabels, type InstalledModel, installModel, requireFreeName } from "./install.js";
import { readLabels } from "./label-file.js";
import { inputSize, type Preprocess, torchvisionPreprocess } from "./preprocess.js";
import type { ResNetSpec, StridePlacement } from "./spec.js";
import { detectSpec, type Undetectable } from "./weights/detect-spec.js";
import { foldWeights } from "./weights/fold.js";
import { keras, kerasApplications, type Naming } from "./weights/naming.js";
import { toSource } from "./weights/source.js";
import type { FoldedWeights } from "./weights/tensor.js";
import { readWeightFile } from "./weights/weight-file.js";

export interface ImportOptions {
  readonly cacheDir: string;
  /** What the model is to be called. */
  readonly name: string;
  /** A safetensors file, a file of torch.save, an HDF5 file of Keras, or the directory of a TensorFlow.js layers model. */
  readonly path: string;
  /** A text file with one label a line. @default ImageNet's for 1,000 classes, else `class_0`, `class_1`, … */
  readonly labelsPath?: string | undefined;
  /** Of bottleneck blocks; basic ones have no 1x1. @default "3x3", but "first-1x1" for Keras's names */
  readonly stridePlacement?: StridePlacement | undefined;
  /** @default 1e-5, but 0.001 for the names of Keras's first ResNet-50, and 1.001e-5 for those of keras.applications */
  readonly batchNormEpsilon?: number | undefined;
  /** @default torchvision's, but Keras's for its names */
  readonly preprocess?: Partial<Omit<Preprocess, "cropSize">>;
}

/**
 * Imports a model. Throws MODEL_NAME; MODEL_INVALID, naming the path and the tensor, entry or byte; OPTION_INVALID for
 * labels that do not fit.
 */
export async function importModel(options: ImportOptions): Promise<InstalledModel<SpecModel>> {
  const { cacheDir, name, path } = options;
  await requireFreeName(cacheDir, name);
  const { spec, weights, naming, sha256 } = await readWeights(options);
  const labels = options.labelsPath === undefined ? defaultLabels(spec) : await readLabels(options.labelsPath, spec);
  return installModel(cacheDir, {
    name,
    title: `${architectureOf(spec)}, from ${basename(path)}`,
    spec,
    preprocess: { ...usualPreprocess(naming), ...options.preprocess },
    labels,
    source: basename(path),
    sourceSha256: sha256,
    weights,
  });
}

interface ReadWeights {
  readonly spec: ResNetSpec;
  readonly weights: FoldedWeights;
  readonly naming: Naming;
  readonly sha256: string;
}

async function readWeights({ path, stridePlacement, batchNormEpsilon }: ImportOptions): Promise<ReadWeights> {
  try {
    const { naming, tensors, sha256 } = await readWeightFile(path);
    const usual = usualSpec(naming);
    const spec = detectSpec(tensors, naming, {
      inputSize,
      stridePlacement: stridePlacement ?? usual.stridePlacement,
      batchNormEpsilon: batchNormEpsilon ?? usual.batchNormEpsilon,
    });
    if (spec.block === "basic" && stridePlacement === "first-1x1")
      throw new Error("its blocks are basic, as in ResNet-18 and 34, and have no 1x1 for --stride first-1x1");
    return { spec, weights: foldWeights(spec, toSource(spec, naming, tensors)), naming, sha256 };
  } catch (error) {
    throw new LabelmillError("MODEL_INVALID", { name: path, reason: messageOf(error) }, { cause: error });
  }
}

function usualSpec(naming: Naming): Omit<Undetectable, "inputSize"> {
  if (naming === keras) return findModel("resnet50").spec;
  // As `residual_block_v1` of keras/applications/resnet.py builds it.
  if (naming === kerasApplications) return { stridePlacement: "first-1x1", batchNormEpsilon: 1.001e-5 };
  // "v1.5", as torchvision, timm and transformers build it; torch.nn.BatchNorm2d's default epsilon.
  return { stridePlacement: "3x3", batchNormEpsilon: 1e-5 };
}

function usualPreprocess(naming: Naming): Preprocess {
  const isKeras = naming === keras || naming === kerasApplications;
  return isKeras ? findModel("resnet50").preprocess : torchvisionPreprocess;
}
