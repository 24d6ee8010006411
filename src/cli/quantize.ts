import type { Command } from "commander";
import { quantize } from "../library/quantize.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openPullProgress } from "./pull-progress.js";
import { openTerminal } from "./terminal.js";

/** `labelmill models quantize`; `models` is the command above it. */
export function registerQuantize(models: Command): void {
  addFlags(models.command("quantize"), "models")
    .description("measure a model's int8 ranges on your own images; they then stand for those of the package")
    .argument("<name>", "model")
    .requiredOption("--calibrate <source>", "directory or .txt list of images like those that the model is to see")
    .option("--limit <n>", "take only the first n images (default: 256)")
    .option("--json", "print the report as one JSON object on stdout")
    .action(quantizeCommand);
}

async function quantizeCommand(name: string, { calibrate, json, ...flags }: Record<string, unknown>): Promise<void> {
  const options = await resolveFlags(flags);
  const terminal = openTerminal(options);
  const { log } = terminal;
  const hooks = { log, signal: terminal.catchSignals(), onPull: openPullProgress(terminal) };
  const report = await quantize(String(calibrate), { ...options, model: name, ...hooks });
  const { images, failed, cosineMean, cosineLeast, top1Agreement, path, modelSha256 } = report;
  const text = [
    `${name} measured on ${images} images${failed === 0 ? "" : ` (${failed} could not be used)`}: int8 against fp32 on them`,
    `  cosine of the embeddings ${cosineMean.toFixed(4)} on average, ${cosineLeast.toFixed(4)} at least`,
    `  same first label for ${(100 * top1Agreement).toFixed(1)} %`,
    `Ranges in ${path}, in use until the file is removed; int8 digest ${modelSha256}`,
  ];
  terminal.print(json === true ? JSON.stringify(report) : text.join("\n"));
}
