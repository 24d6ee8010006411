/**
 * The common end of `models import` and `models init`: takes the digest of the weights, and puts the model with its
 * labels into the cache, whole or not at all.
 */
import { createHash } from "node:crypto";
import { LabelmillError } from "../../shared/errors.js";
import type { Model } from "./catalog.js";
import { listModels } from "./catalog.js";
import { type ImportedParts, isModelName, modelOf } from "./manifest.js";
import type { Preprocess } from "./preprocess.js";
import { findPublished } from "./published.js";
import { layersOf, type ResNetSpec } from "./spec.js";
import { commitImported, isNameTaken, modelDirectory, withWorkDirectory } from "./store.js";
import { digestWeights } from "./weights/digest.js";
import type { FoldedWeights } from "./weights/tensor.js";

/** A model to be. */
export interface NewModel {
  readonly name: string;
  readonly title: string;
  readonly spec: ResNetSpec;
  readonly preprocess: Preprocess;
  /** One a class; null for ImageNet's. */
  readonly labels: readonly string[] | null;
  readonly source: string;
  readonly sourceSha256: string | null;
  readonly weights: FoldedWeights;
}

export interface InstalledModel {
  readonly modelDir: string;
  readonly model: Model;
}

/** Classes of ImageNet-1k, whose labels come with the program. */
const imageNetClasses = 1000;

/** Throws MODEL_NAME where the name cannot be given to a new model. To be asked before the work. */
export async function requireFreeName(cacheDir: string, name: string): Promise<void> {
  const refuse = (reason: string) => new LabelmillError("MODEL_NAME", { name, reason });
  if (!isModelName(name)) throw refuse("expected lower-case letters, digits, - and _, 64 at most");
  if (findPublished(name) !== undefined || listModels().some((known) => known.name === name))
    throw refuse("it is a model of the catalog");
  if (await isNameTaken(cacheDir, name))
    throw refuse(`a model has it; \`labelmill models rm ${name}\` removes that one`);
}

/** The labels of a model without labels of its own: ImageNet's, or numbered ones where the classes are not ImageNet's. */
export function defaultLabels({ classes }: ResNetSpec): readonly string[] | null {
  if (classes === imageNetClasses) return null;
  return Array.from({ length: classes }, (_, index) => `class_${index}`);
}

/** `ResNet-50`: layers with weights, counted as the paper does (table 1), without the shortcuts. */
export function architectureOf(spec: ResNetSpec): string {
  const { blocks } = layersOf(spec);
  const inBlocks = blocks.reduce((sum, { inner }) => sum + inner.length + 1, 0);
  return `ResNet-${inBlocks + 2}`;
}

/** Puts the model into the cache. Throws MODEL_NAME as above. */
export async function installModel(cacheDir: string, given: NewModel): Promise<InstalledModel> {
  const { name, title, spec, preprocess, weights, source, sourceSha256 } = given;
  const labels = given.labels === null ? null : new TextEncoder().encode(`${JSON.stringify(given.labels)}\n`);
  const labelsSha256 = labels === null ? null : createHash("sha256").update(labels).digest("hex");
  const context = { precision: "fp32", stridePlacement: spec.stridePlacement, labelsSha256 } as const;
  const modelSha256 = digestWeights(weights, context);
  const imported: ImportedParts = {
    title,
    spec,
    preprocess,
    labels: { count: spec.classes, sha256: labelsSha256 },
    sourceSha256,
  };
  const isNew = await withWorkDirectory(cacheDir, (workDirectory) =>
    commitImported(cacheDir, workDirectory, { manifest: { name, modelSha256, source, imported }, weights, labels }),
  );
  // Another process took the name since it was asked for.
  if (!isNew) await requireFreeName(cacheDir, name);
  return {
    modelDir: modelDirectory(cacheDir, name),
    model: modelOf({ name, modelSha256, precision: "fp32", imported }),
  };
}
