/** `labelmill models import|init|rm`: models of the user's own in the cache. Parses flags; `worker/model` does the work. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { findPlaces } from "../library/places.js";
import { isCode } from "../shared/errors.js";
import { importOnnxFile } from "../worker/import-onnx-file.js";
import { type Architecture, architectures } from "../worker/model/architectures.js";
import { importModel } from "../worker/model/import.js";
import { initModel } from "../worker/model/init.js";
import type { InstalledModel } from "../worker/model/install.js";
import { resolveModel } from "../worker/model/known-models.js";
import { isOnnxPath } from "../worker/model/onnx-file/import.js";
import { outputSizesOf } from "../worker/model/output-sizes.js";
import { type Preprocess, preprocessSha256 } from "../worker/model/preprocess.js";
import type { ResNetSpec, StridePlacement } from "../worker/model/spec.js";
import { removeModel } from "../worker/model/store.js";
import { addFlags, resolveFlags } from "./flags.js";
import { invalid, parseInteger } from "./invalid-option.js";
import { openTerminal, type Terminal } from "./terminal.js";

const importHelp = `
Examples:
  labelmill models import weights.pth --name mine
  labelmill models import classifier.onnx --name theirs
  labelmill run photos --model mine

PATH is a file or directory of weights, or an .onnx file.

Weights are a safetensors file, a file of torch.save (.pth, .pt, .bin; its state_dict, nothing in it is run), an HDF5 file of
Keras (.h5, weights or a whole model), or the directory of a TensorFlow.js layers model. Tensor names are those of torchvision, timm,
Hugging Face transformers or Keras.

An .onnx file (opset 7 to 26, with its external data beside it) is any image classifier with input [N, 3, 224, 224] or
[N, 224, 224, 3] that ends in a linear layer. It is run as it is, on ONNX Runtime, after preprocessing of ours: its input is to be
what --mean, --std and --channel-order give. Its mean and std default to torchvision's, with channels last to Keras's.

--mean and --std are for pixels of 0 to 255, in the order of --channel-order: torchvision's 0.485 is 123.675 here.`;

interface ImportFlags extends Record<string, unknown> {
  readonly name: string;
  readonly json?: boolean;
  readonly labels?: string;
  readonly stride?: StridePlacement;
  readonly epsilon?: string;
  readonly mean?: string;
  readonly std?: string;
  readonly channelOrder?: Preprocess["channelOrder"];
  readonly shortestSide?: string;
  readonly cropSize?: string;
  readonly kernel?: Preprocess["kernel"];
}

interface InitFlags extends Record<string, unknown> {
  readonly name?: string;
  readonly json?: boolean;
  readonly seed: string;
}

/** Adds them to `labelmill models`. */
export function registerModelsImport(models: Command): void {
  const usual = "(default: torchvision's, or Keras's for its names)";
  addFlags(models.command("import"), "models")
    .description("bring a model of your own into the cache: weights of a ResNet-18 to 152, or an .onnx file")
    .argument("<path>", "weights, or an .onnx file")
    .requiredOption("--name <name>", "what the model is to be called")
    .option("--labels <file>", "one label a line (default: ImageNet's for 1,000 classes, else class_0, class_1, …)")
    .addOption(choice("--stride <place>", `where stages halve the resolution ${usual}`, ["first-1x1", "3x3"]))
    .option("--epsilon <x>", "of batch norm (default: 1e-5, or Keras's for its names)")
    .option("--mean <a,b,c>", `subtracted from pixels of 0 to 255 ${usual}`)
    .option("--std <a,b,c>", `what they are divided by then ${usual}`)
    .addOption(choice("--channel-order <order>", `of the model's input ${usual}`, ["RGB", "BGR"]))
    .option("--shortest-side <n>", "resize to this before the centre 224 x 224 is cut out (default: 256)")
    .option("--crop-size <n>", "of that square, the model's input; 224 is the only size that this version runs")
    .addOption(choice("--kernel <name>", "of the resize (default: linear)", ["linear", "cubic", "lanczos3"]))
    .option("--json", "print one JSON object on stdout")
    .addHelpText("after", importHelp)
    .action(importCommand);
  addFlags(models.command("init"), "models")
    .description("make an untrained ResNet, distributed as PyTorch's weights=None; not PyTorch's numbers")
    .addArgument(models.createArgument("<architecture>", "which").choices(architectures))
    .option("--name <name>", "what the model is to be called (default: resnet50-seed7 and the like)")
    .option("--seed <n>", "the same seed gives the same weights", "0")
    .option("--json", "print one JSON object on stdout")
    .action(initCommand);
  addFlags(models.command("rm"), "models")
    .description("remove a model from the cache")
    .argument("<name>", "model")
    .action(removeCommand);
}

function choice(flag: string, description: string, values: readonly string[]): Option {
  return new Option(flag, description).choices(values);
}

async function importCommand(path: string, flags: ImportFlags): Promise<void> {
  const { name, json, labels, stride, epsilon, mean, std, channelOrder, shortestSide, cropSize, kernel, ...others } =
    flags;
  if (cropSize !== undefined && cropSize !== "224")
    throw invalid("crop-size", "224, the only size of input that this version runs", cropSize);
  const options = await resolveFlags(others);
  const places = findPlaces(options.cacheDir);
  const { cacheDir, cwd } = places;
  const preprocess: Partial<Preprocess> = {
    ...(mean !== undefined && { mean: parseTriple("mean", mean) }),
    ...(std !== undefined && { std: parseTriple("std", std) }),
    ...(channelOrder !== undefined && { channelOrder }),
    ...(shortestSide !== undefined && { shortestSide: parseInteger("shortest-side", shortestSide, 224, 4096) }),
    ...(kernel !== undefined && { kernel }),
  };
  const labelsPath = labels === undefined ? undefined : resolve(cwd, labels);
  const given = { name, path: resolve(cwd, path), labelsPath, preprocess };
  if (!existsSync(given.path)) throw invalid("path", "a file or directory of weights", path, "argument");
  const terminal = openTerminal(options);
  if (isOnnxPath(path)) {
    refuseForOnnx({ stride, epsilon });
    const { log } = terminal;
    const signal = terminal.catchSignals();
    return printInstalled(terminal, await importOnnxFile({ ...given, options, host: places, log, signal }), json);
  }
  const batchNormEpsilon = epsilon === undefined ? undefined : parseEpsilon(epsilon);
  printInstalled(terminal, await importModel({ ...given, cacheDir, stridePlacement: stride, batchNormEpsilon }), json);
}

function refuseForOnnx(flags: Readonly<Record<string, string | undefined>>): void {
  for (const [option, value] of Object.entries(flags))
    if (value !== undefined) throw invalid(option, "left out for an .onnx file, whose graph says it", value);
}

async function initCommand(architecture: Architecture, { name, json, seed, ...flags }: InitFlags): Promise<void> {
  const options = await resolveFlags(flags);
  const { cacheDir } = findPlaces(options.cacheDir);
  const parsed = parseInteger("seed", seed, 0, 2 ** 32 - 1);
  const model = { cacheDir, name: name ?? `${architecture}-seed${parsed}`, architecture, seed: parsed };
  printInstalled(openTerminal(options), await initModel(model), json);
}

async function removeCommand(name: string, flags: Record<string, unknown>): Promise<void> {
  const options = await resolveFlags(flags);
  const { cacheDir } = findPlaces(options.cacheDir);
  const isRemoved = await removeModel(cacheDir, name);
  if (!isRemoved) await requireKnown(cacheDir, name);
  openTerminal(options).print(isRemoved ? `${name} removed from ${cacheDir}` : `${name} is not in ${cacheDir}`);
}

/** Throws MODEL_UNKNOWN for a name that nothing has. */
async function requireKnown(cacheDir: string, name: string): Promise<void> {
  try {
    await resolveModel(cacheDir, name);
  } catch (error) {
    if (!isCode(error, "MODEL_NOT_PULLED")) throw error;
  }
}

function printInstalled(terminal: Terminal, { modelDir, model }: InstalledModel, json = false): void {
  const { name, title, spec, preprocess, modelSha256 } = model;
  const { embeddingWidth, classes } = outputSizesOf(model);
  if (json) {
    const known = { name, title, modelSha256, preprocess, preprocessSha256: preprocessSha256(preprocess) };
    terminal.print(JSON.stringify({ ...known, classes, embeddingWidth, modelDir }));
    return;
  }
  const { shortestSide, cropSize, kernel, channelOrder, mean, std } = preprocess;
  const rounded = (numbers: readonly number[]) => numbers.map((number) => Number(number.toFixed(3))).join(", ");
  terminal.print(
    [
      `${name}: ${title}; ${classes} classes, embeddings of ${embeddingWidth}${describeForm(spec)}`,
      `  preprocessing ${preprocessSha256(preprocess).slice(0, 8)}: shortest side ${shortestSide} (${kernel}), centre ${cropSize}, ${channelOrder}, mean ${rounded(mean)}, std ${rounded(std)}`,
      `  digest ${modelSha256}`,
      `  in ${modelDir}; use it with --model ${name}`,
    ].join("\n"),
  );
}

function describeForm(spec: ResNetSpec | undefined): string {
  if (spec === undefined) return ", run as it is, on ONNX Runtime";
  return spec.block === "basic" ? "" : `, stride in the ${spec.stridePlacement}`;
}

/** Numbers for pixels of 0 to 1, as torchvision's code has them, would silently give nonsense. */
function parseTriple(option: "mean" | "std", text: string): [number, number, number] {
  const numbers = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  const [a = Number.NaN, b = Number.NaN, c = Number.NaN] = numbers;
  const triple: [number, number, number] = [a, b, c];
  const isForUnitPixels = triple.every((number) => number > 0 && number < 1);
  const isUsable =
    numbers.length === 3 && triple.every(Number.isFinite) && (option === "mean" || Math.min(a, b, c) > 0);
  if (isUsable && !isForUnitPixels) return triple;
  const range = option === "std" ? ", above 0" : "";
  throw invalid(option, `three numbers for pixels of 0 to 255${range} (those for pixels of 0 to 1, times 255)`, text);
}

function parseEpsilon(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value > 0 && value < 1) return value;
  throw invalid("epsilon", "a number above 0 and below 1", text);
}
