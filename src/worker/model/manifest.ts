/**
 * `manifest.json` of a model in the cache: what the weights beside it are. Of a catalog model it pins the digest, and the
 * catalog says the rest; of an imported one it says everything. Read by every process that names a model, so it loads
 * nothing. Content comes from disk and is checked here, field by field.
 */
import { findModel, type Model } from "./catalog.js";
import { isOnnxFileFacts, type OnnxFileFacts } from "./onnx-file/facts.js";
import { inputSize, type Preprocess } from "./preprocess.js";
import type { ResNetSpec, StageSpec } from "./spec.js";

export interface ModelManifest {
  readonly format: 1;
  readonly name: string;
  readonly modelSha256: string;
  readonly precision: "fp32";
  /** `package@version`, a URL, the name of the imported file, or how the weights were made. */
  readonly source: string;
  /** Size of the weights file, or of the .onnx file. */
  readonly bytes: number;
  /** Absent for models of the catalog. */
  readonly imported?: ImportedParts;
}

/** What the catalog would say of a model, for one that it does not have. */
export type ImportedParts = ImportedFacts & ModelForm;

/** What executes it: any engine from a spec, or one from the file as it is. */
export type ModelForm =
  | { readonly spec: ResNetSpec; readonly onnx?: undefined }
  | { readonly onnx: OnnxFileFacts; readonly spec?: undefined };

interface ImportedFacts {
  readonly title: string;
  /** SPDX id; absent where only the user can know. */
  readonly licence?: string;
  readonly preprocess: Preprocess;
  readonly labels: LabelsPart;
  /** Of the imported file or files; null where there was none. */
  readonly sourceSha256: string | null;
}

export interface LabelsPart {
  readonly count: number;
  /** Of `labels.json` beside the manifest; null stands for ImageNet's, which come with the program. */
  readonly sha256: string | null;
}

/** Whether `name` can be that of an imported model: also a directory's name, on every system. */
export function isModelName(name: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,63}$/.test(name);
}

/** What of a manifest says which model it is. */
type ModelIdentity = Pick<ModelManifest, "name" | "modelSha256" | "precision" | "imported">;

/** The model that a manifest stands for. Throws MODEL_UNKNOWN where another version's catalog had it. */
export function modelOf({ name, modelSha256, precision, imported }: ModelIdentity): Model {
  if (imported === undefined) return findModel(name);
  const { title, licence = null, spec, onnx, preprocess, labels } = imported;
  return {
    name,
    title,
    licence,
    ...(onnx === undefined ? { spec } : { onnx }),
    preprocess,
    precision,
    modelSha256,
    int8Sha256: null,
    labelsSha256: labels.sha256,
  };
}

type Unchecked<T> = Partial<Record<keyof T, unknown>>;

const fields = <T>(value: unknown): Unchecked<T> => (typeof value === "object" && value !== null ? value : {});
const isText = (value: unknown): value is string => typeof value === "string";
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
const isTriple = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 3 && value.every((number) => Number.isFinite(number));
const isOneOf = (value: unknown, ...known: readonly unknown[]): boolean => known.includes(value);

export function isManifest(value: unknown): value is ModelManifest {
  const { format, name, modelSha256, precision, source, bytes, imported } = fields<ModelManifest>(value);
  const isWhole = isText(name) && isText(modelSha256) && isText(source) && typeof bytes === "number";
  return format === 1 && precision === "fp32" && isWhole && (imported === undefined || isImported(imported));
}

function isImported(value: unknown): value is ImportedParts {
  const { title, licence, spec, onnx, preprocess, labels, sourceSha256 } = fields<
    ImportedFacts & Record<"spec" | "onnx", unknown>
  >(value);
  const { count, sha256 } = fields<LabelsPart>(labels);
  const areLabels = isCount(count) && (sha256 === null || isText(sha256));
  return (
    isText(title) &&
    (licence === undefined || isText(licence)) &&
    (onnx === undefined ? isSpec(spec) : isOnnxFileFacts(onnx) && spec === undefined) &&
    isPreprocess(preprocess) &&
    areLabels &&
    (sourceSha256 === null || isText(sourceSha256))
  );
}

function isSpec(value: unknown): value is ResNetSpec {
  const { inputSize, stemWidth, stages, block, expansion, stridePlacement, convBias, batchNormEpsilon, classes } =
    fields<ResNetSpec>(value);
  const isStage = (stage: unknown) => {
    const { blocks, width } = fields<StageSpec>(stage);
    return isCount(blocks) && isCount(width);
  };
  return (
    [inputSize, stemWidth, expansion, classes].every(isCount) &&
    Array.isArray(stages) &&
    stages.every(isStage) &&
    isOneOf(block, undefined, "basic", "bottleneck") &&
    isOneOf(stridePlacement, "first-1x1", "3x3") &&
    typeof convBias === "boolean" &&
    Number.isFinite(batchNormEpsilon)
  );
}

function isPreprocess(value: unknown): value is Preprocess {
  const { shortestSide, cropSize, kernel, channelOrder, mean, std } = fields<Preprocess>(value);
  const areSizes = isCount(shortestSide) && cropSize === inputSize && cropSize <= shortestSide;
  const areNumbers = isTriple(mean) && isTriple(std) && !(std as number[]).includes(0);
  return (
    areSizes && areNumbers && isOneOf(kernel, "linear", "cubic", "lanczos3") && isOneOf(channelOrder, "RGB", "BGR")
  );
}
