/**
 * Brings a user's .onnx file into the cache, to be run as it is. What it computes is found in the graph (`ports`); how images are
 * prepared no file says, so that is given or the usual of the library that writes such files. Nothing is kept of a file that
 * cannot be used; `worker/import-onnx-file`, its caller, has the engine prove it.
 */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { isCode, LabelmillError, messageOf } from "../../../shared/errors.js";
import { findModel, type Model } from "../catalog.js";
import { defaultLabels, type InstalledModel, installContent, requireFreeName } from "../install.js";
import { readLabels } from "../label-file.js";
import { inputSize, type Preprocess, torchvisionPreprocess } from "../preprocess.js";
import { readWholeFile } from "../read-file.js";
import { cachedContentOf } from "./cached-files.js";
import { digestOnnxFiles } from "./digest.js";
import { bindExternal, readExternalFiles } from "./external-data.js";
import { maxOnnxBytes, type OnnxFileFacts, type OnnxFiles } from "./facts.js";
import { type Classifier, findClassifier, findImageInput, type ImageInput } from "./ports.js";
import { readOnnxGraph } from "./read-graph.js";

export interface ImportOnnxOptions {
  readonly cacheDir: string;
  /** What the model is to be called. */
  readonly name: string;
  /** An .onnx file; its external data, if any, lies in the same folder. */
  readonly path: string;
  /** A text file with one label a line. @default ImageNet's for 1,000 classes, else `class_0`, `class_1`, … */
  readonly labelsPath?: string | undefined;
  /** @default torchvision's for channels first, Keras's for channels last, none for uint8 */
  readonly preprocess?: Partial<Omit<Preprocess, "cropSize">>;
  /** Has the engine run the model, which lies in the directory, before it is kept. */
  readonly prove: (directory: string, model: Model) => Promise<void>;
}

/** Whether `path` is to be read as an ONNX file, by its name: the format has no first bytes of its own. */
export function isOnnxPath(path: string): boolean {
  return path.toLowerCase().endsWith(".onnx");
}

/**
 * Imports the file. Throws MODEL_NAME; MODEL_INVALID, naming the path and the node or tensor; OPTION_INVALID for labels or
 * preprocessing that do not fit.
 */
export async function importOnnxModel(options: ImportOnnxOptions): Promise<InstalledModel> {
  const { cacheDir, name, path } = options;
  await requireFreeName(cacheDir, name);
  const { files, input, classifier } = await asInvalid(path, () => readFiles(path));
  const { embeddingWidth, classes } = classifier;
  const externalData = files.external.map(({ location, data }) => ({ location, bytes: data.byteLength }));
  const onnx: OnnxFileFacts = { embeddingWidth, classes, externalData };
  const labels = options.labelsPath === undefined ? defaultLabels(onnx) : await readLabels(options.labelsPath, onnx);
  const preprocess = preprocessOf(input, options.preprocess ?? {});
  return installContent(cacheDir, {
    name,
    title: `ONNX file ${basename(path)}`,
    form: { onnx },
    classes,
    preprocess,
    labels,
    source: basename(path),
    sourceSha256: sourceDigest(files),
    files: cachedContentOf(files),
    digest: (labelsSha256) => digestOnnxFiles(files, labelsSha256),
    prove: (directory, model) => asInvalid(path, () => options.prove(directory, model)),
  });
}

async function asInvalid<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isCode(error, "RUN_INTERRUPTED")) throw error;
    throw new LabelmillError("MODEL_INVALID", { name: path, reason: messageOf(error) }, { cause: error });
  }
}

interface ReadFiles {
  readonly files: OnnxFiles;
  readonly input: ImageInput;
  readonly classifier: Classifier;
}

async function readFiles(path: string): Promise<ReadFiles> {
  const onnx = await readWholeFile(path, maxOnnxBytes);
  const graph = readOnnxGraph(onnx);
  const [input, classifier] = [findImageInput(graph, inputSize), findClassifier(graph)];
  const files = { onnx, external: await readExternalFiles(graph.graph, dirname(path), onnx.byteLength) };
  bindExternal(graph.graph, files);
  return { files, input, classifier };
}

/** Of the .onnx file alone where there is no external data, as sha256sum gives it; else of all files in order. */
function sourceDigest({ onnx, external }: OnnxFiles): string {
  const hash = createHash("sha256").update(onnx);
  for (const { data } of external) hash.update(data);
  return hash.digest("hex");
}

/** A model of uint8 takes pixels as they are, and does with them what it has to. */
const unchanged = { mean: [0, 0, 0], std: [1, 1, 1] } as const satisfies Partial<Preprocess>;

function preprocessOf({ layout, type }: ImageInput, given: Partial<Preprocess>): Preprocess {
  if (type === "uint8") {
    for (const option of ["mean", "std"] as const) refuseForBytes(option, given[option]);
    return { ...torchvisionPreprocess, ...unchanged, ...given };
  }
  // Keras's models are exported with channels last (tf2onnx), PyTorch's with channels first.
  return { ...(layout === "NHWC" ? findModel("resnet50").preprocess : torchvisionPreprocess), ...given };
}

function refuseForBytes(option: "mean" | "std", value: Preprocess["mean"] | undefined): void {
  if (value === undefined) return;
  const details = { option, expected: "left out for a model whose input is uint8", value: value.join(), from: "flag" };
  throw new LabelmillError("OPTION_INVALID", details);
}
