/**
 * The common end of `models import` and `models init`: takes the digest, and puts the model with its
 * labels into the cache, whole or not at all.
 */
import { createHash } from "node:crypto";
import { LabelmillError } from "../../shared/errors.js";
import type { Model, SpecModel } from "./catalog.js";
import { listModels } from "./catalog.js";
import { type ImportedParts, isModelName, type ModelForm, modelOf } from "./manifest.js";
import type { Preprocess } from "./preprocess.js";
import { findPublished } from "./published.js";
import { requireSpec } from "./require-spec.js";
import { layersOf, type ResNetSpec } from "./spec.js";
import {
  commitImported,
  type ImportedContent,
  isNameTaken,
  modelDirectory,
  weightsContent,
  withWorkDirectory,
} from "./store.js";
import { digestWeights } from "./weights/digest.js";
import type { FoldedWeights } from "./weights/tensor.js";

/** What every new model has. */
interface NewModelFacts {
  readonly name: string;
  readonly title: string;
  readonly preprocess: Preprocess;
  /** One a class; null for ImageNet's. */
  readonly labels: readonly string[] | null;
  readonly source: string;
  readonly sourceSha256: string | null;
}

/** A ResNet to be. */
export interface NewModel extends NewModelFacts {
  readonly spec: ResNetSpec;
  readonly weights: FoldedWeights;
}

/** A model to be, in any form. */
export interface NewContent extends NewModelFacts, Pick<ImportedContent, "files"> {
  readonly form: ModelForm;
  readonly classes: number;
  /** The digest of the files and of the model's own labels. */
  readonly digest: (labelsSha256: string | null) => string;
  /** Told what the model is, and where it lies before it is in the cache; its rejection keeps it out. @default none */
  readonly prove?: (directory: string, model: Model) => Promise<void>;
}

export interface InstalledModel<M extends Model = Model> {
  readonly modelDir: string;
  readonly model: M;
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
export function defaultLabels({ classes }: Pick<ResNetSpec, "classes">): readonly string[] | null {
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
export async function installModel(cacheDir: string, given: NewModel): Promise<InstalledModel<SpecModel>> {
  const { spec, weights } = given;
  const { modelDir, model } = await installContent(cacheDir, {
    ...given,
    form: { spec },
    classes: spec.classes,
    files: [weightsContent(weights)],
    digest: (labelsSha256) =>
      digestWeights(weights, { precision: "fp32", stridePlacement: spec.stridePlacement, labelsSha256 }),
  });
  return { modelDir, model: requireSpec(model) };
}

/** The same for a model in any form. */
export async function installContent(cacheDir: string, given: NewContent): Promise<InstalledModel> {
  const { name, title, form, preprocess, source, sourceSha256, files, prove = async () => {} } = given;
  const labels = given.labels === null ? null : new TextEncoder().encode(`${JSON.stringify(given.labels)}\n`);
  const labelsSha256 = labels === null ? null : createHash("sha256").update(labels).digest("hex");
  const modelSha256 = given.digest(labelsSha256);
  const imported: ImportedParts = {
    title,
    ...form,
    preprocess,
    labels: { count: given.classes, sha256: labelsSha256 },
    sourceSha256,
  };
  const manifest = { name, modelSha256, source, imported };
  const model = modelOf({ ...manifest, precision: "fp32" });
  const content: ImportedContent = { manifest, files, labels, prove: (directory) => prove(directory, model) };
  const isNew = await withWorkDirectory(cacheDir, (workDirectory) => commitImported(cacheDir, workDirectory, content));
  // Another process took the name since it was asked for.
  if (!isNew) await requireFreeName(cacheDir, name);
  return { modelDir: modelDirectory(cacheDir, name), model };
}
