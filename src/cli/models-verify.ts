import type { Command } from "commander";
import { resolveCall } from "../library/context.js";
import { type VerifiedModel, verifyModel } from "../library/verify-model.js";
import type { AgreementLimits } from "../worker/model/agreement.js";
import { addFlags, resolveFlags } from "./flags.js";
import { openPullProgress } from "./pull-progress.js";
import { formatTable } from "./table.js";
import { openTerminal } from "./terminal.js";

/** `labelmill models verify`. */
export function registerModelsVerify(models: Command): void {
  addFlags(models.command("verify"), "models verify")
    .description(
      "run the same images through every engine, compare the answers, and keep a certificate beside the model",
    )
    .argument("[name]", "model", "resnet50")
    .argument("[source...]", "directories, or .txt lists with one path a line; none means the example photos")
    .option("--json", "print the certificate as one JSON object on stdout")
    .addHelpText(
      "after",
      "\nExit status: 0 where the engines agree, 1 where they do not or one that was named cannot run, 2 usage.",
    )
    .action(verifyCommand);
}

async function verifyCommand(
  name: string,
  sources: string[],
  { json, ...flags }: Record<string, unknown>,
): Promise<void> {
  const options = { ...(await resolveFlags(flags)), model: name };
  const terminal = openTerminal(options);
  const call = { ...options, log: terminal.log, signal: terminal.catchSignals(), onPull: openPullProgress(terminal) };
  const verified = await verifyModel(sources, resolveCall(call));
  terminal.print(json === true ? JSON.stringify(verified.certificate) : describeVerified(verified));
  if (verified.certificate.agree === false) process.exitCode = 1;
}

function describeVerified({ certificate, path }: VerifiedModel): string {
  const { model, images, skipped, engineThreads, engines, absent, agree, limits, machine } = certificate;
  const rows = engines.map(({ engine, precision, batchSize, imagesPerSecond, loadMs, agreement }) => [
    engine,
    precision,
    batchSize,
    imagesPerSecond,
    loadMs,
    ...(agreement === null
      ? ["compared with", "", "", ""]
      : [
          `${agreement.sameTop1} of ${agreement.images}`,
          describeCosine(agreement.meanCosine),
          describeCosine(agreement.minCosine),
          agreement.maxLogitDifference.toExponential(1),
        ]),
  ]);
  const header = [
    "engine",
    "precision",
    "batch",
    "images/s",
    "load ms",
    "same top-1",
    "mean cosine",
    "min cosine",
    "max logit difference",
  ];
  const limit = `fp32 ${describeLimits(limits.fp32)}; int8 ${describeLimits(limits.int8)}`;
  const verdict = `${agree ? "They agree" : "They DISAGREE"} (limits: ${limit}).`;
  return [
    `${model}, ${images} images${skipped.length === 0 ? "" : ` (${skipped.length} more cannot be read)`}, ` +
      `${engineThreads} threads, ${machine.cpu}`,
    "",
    formatTable(header, rows),
    ...skipped.map(({ uri, reason }) => `${uri} left out: ${reason}`),
    ...absent.map(({ asked, precision, reason }) => `${asked} in ${precision} not compared: ${reason}`),
    "",
    agree === null ? "Nothing to compare with." : verdict,
    `Certificate: ${path}`,
  ].join("\n");
}

const describeLimits = ({ top1Share, meanCosine, minCosine }: AgreementLimits): string =>
  `top-1 ${top1Share * 100} %, cosine ${meanCosine} on average and ${minCosine} at least`;

/** As its distance from 1 where that is small: `1 - 2.1e-12`. */
function describeCosine(cosine: number): string {
  return cosine < 0.999 || cosine >= 1 ? cosine.toFixed(4) : `1 - ${(1 - cosine).toExponential(1)}`;
}
